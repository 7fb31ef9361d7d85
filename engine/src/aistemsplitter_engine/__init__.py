"""Stem separation on this machine, by HTDemucs and RoFormers, in constant memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.errors import (
    AudioError,
    Cancelled,
    DeviceError,
    DownloadError,
    EngineError,
    ModelError,
    ModelNotInstalled,
    OptionError,
    OutputError,
    SeparatorClosed,
)

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import AudioArray, AudioFile, StemWriter
    from aistemsplitter_engine.formats import OutputFormat
    from aistemsplitter_engine.pipeline.registration import add_ensemble, add_model
    from aistemsplitter_engine.pipeline.songs import SongOutcome
    from aistemsplitter_engine.pipeline.stems import Block, Separated
    from aistemsplitter_engine.pipeline.write import SplitResult
    from aistemsplitter_engine.separator import Separator
    from aistemsplitter_engine.weights.download import install
    from aistemsplitter_engine.weights.listing import ModelInfo, list_models
    from aistemsplitter_engine.weights.registry import remove_model

__version__ = "0.1.0"
__all__ = [
    "AudioArray",
    "AudioError",
    "AudioFile",
    "Block",
    "Cancelled",
    "DeviceError",
    "DownloadError",
    "EngineError",
    "ModelError",
    "ModelInfo",
    "ModelNotInstalled",
    "OptionError",
    "OutputError",
    "OutputFormat",
    "Separated",
    "Separator",
    "SeparatorClosed",
    "SongOutcome",
    "SplitResult",
    "StemWriter",
    "add_ensemble",
    "add_model",
    "install",
    "list_models",
    "remove_model",
]

_LATE = {
    "AudioArray": "audio",
    "AudioFile": "audio",
    "Block": "pipeline.stems",
    "ModelInfo": "weights.listing",
    "OutputFormat": "formats",
    "Separated": "pipeline.stems",
    "Separator": "separator",
    "SongOutcome": "pipeline.songs",
    "SplitResult": "pipeline.write",
    "StemWriter": "audio",
    "add_ensemble": "pipeline.registration",
    "add_model": "pipeline.registration",
    "install": "weights.download",
    "list_models": "weights.listing",
    "remove_model": "weights.registry",
}


def __getattr__(name: str) -> Any:
    """Import what needs NumPy, FFmpeg and OpenVINO on first use: ``--help`` needs none of it."""
    if name not in _LATE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LATE[name]}"), name)
