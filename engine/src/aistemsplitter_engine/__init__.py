"""Stem separation on this machine: HTDemucs models, in memory that does not grow with the song."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.errors import (
    AudioError,
    Cancelled,
    DownloadError,
    EngineError,
    ModelError,
    ModelNotInstalled,
    OptionError,
    OutputError,
)

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import AudioArray
    from aistemsplitter_engine.pipeline.write import SplitResult
    from aistemsplitter_engine.separator import Block, Separator

__version__ = "0.1.0"
__all__ = [
    "AudioArray",
    "AudioError",
    "Block",
    "Cancelled",
    "DownloadError",
    "EngineError",
    "ModelError",
    "ModelNotInstalled",
    "OptionError",
    "OutputError",
    "Separator",
    "SplitResult",
]

_LATE = {
    "AudioArray": "audio",
    "Block": "separator",
    "Separator": "separator",
    "SplitResult": "pipeline.write",
}


def __getattr__(name: str) -> Any:
    """Import what needs NumPy, FFmpeg and OpenVINO on first use: ``--help`` needs none of it."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
