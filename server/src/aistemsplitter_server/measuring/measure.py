"""Measuring a file: a confined process decodes it to its end."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.sandbox.decoder import CANNOT_DECODE, Decoder
from aistemsplitter_server.sandbox.messages import printable


@dataclass(frozen=True, slots=True)
class Measured:
    """The duration and sample rate (Hz) of a file."""

    duration_seconds: float
    sample_rate: int
    channels: int


class MeasuringFailed(Exception):
    """The file cannot be split. The text is for its owner.

    Attributes:
        code: The API's error code, ``UNSUPPORTED_MEDIA`` or ``INPUT_TOO_LONG``.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def measure(path: Path, filename: str, settings: Settings) -> Measured:
    """Decode a file to its end in a confined process.

    Args:
        path: A regular file.
        filename: The owner's name for it.

    Raises:
        MeasuringFailed: The file is not audio that can be split.
        OSError: The file cannot be opened, or this machine lacks the resources to decode it.
    """
    with path.open("rb") as file, Decoder.take() as decoder:
        answer = decoder.measure(
            file.fileno(),
            filename,
            longest=settings.max_duration_seconds,
            seconds=settings.measure_seconds,
        )
        if answer is None and (lack := decoder.lack()) is not None:
            raise OSError(errno.ENOMEM if lack.lasts else errno.EAGAIN, lack.reason)
    if answer is None:
        raise MeasuringFailed("UNSUPPORTED_MEDIA", f"{filename}: {CANNOT_DECODE}")
    if "too_long" in answer:
        limit = f"{settings.max_duration_seconds / 3600:g} h"
        raise MeasuringFailed("INPUT_TOO_LONG", f"{filename}: is longer than {limit}")
    if "fault" in answer:
        raise MeasuringFailed("UNSUPPORTED_MEDIA", printable(answer["fault"]))
    measured = _checked(answer, settings.max_duration_seconds)
    if measured is None:
        raise MeasuringFailed("UNSUPPORTED_MEDIA", f"{filename}: {CANNOT_DECODE}")
    return measured


def _checked(answer: dict[str, Any], longest: int) -> Measured | None:
    """Return what the process measured; None if a hostile file made it answer otherwise."""
    try:
        measured = Measured(
            float(answer["duration_seconds"]), int(answer["sample_rate"]), int(answer["channels"])
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    within = 0 < measured.duration_seconds <= longest and measured.sample_rate > 0
    return measured if within and measured.channels > 0 else None


def warm() -> None:
    """Start a process for the next file ahead of time: that takes some tenths of a second."""
    Decoder.warm()
