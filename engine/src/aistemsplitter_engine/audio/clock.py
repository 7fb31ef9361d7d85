"""The times that a container gives its frames."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from av import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer

from aistemsplitter_engine.audio.mp4 import is_fragmented
from aistemsplitter_engine.audio.ogg import first_page

GAP = 0.05  # seconds by which the time of a frame may run ahead of the samples before it

# Containers from which FFmpeg drops damaged parts without an error, leaving a gap in the times. In
# others it computes the times from the samples, or recorders leave gaps for silence.
_GAPLESS = ("flac", "ogg", "asf")


@dataclass(frozen=True)
class Clock:
    """The clock of a container.

    It does not begin at 0 in a recording that was cut, or in a live stream that was joined midway.

    Attributes:
        start: Time at the first frame in seconds; 0 in containers whose clock is not used.
        known_from: Number of samples after which FFmpeg knows the time.
    """

    start: Fraction = Fraction(0)
    known_from: int = 0


def read_clock(
    container: InputContainer, stream: AudioStream, file: BinaryIO, first: AudioFrame
) -> Clock:
    """Return the clock of a stream whose first frame was decoded."""
    kind = container.format.name
    codec = stream.codec_context
    if kind == "ogg" and codec.name == "flac":
        return _clock_of_ogg_flac(file, stream, first)
    clocked = kind in ("ogg", "asf", "matroska,webm")
    if not clocked and not (kind.startswith("mov") and is_fragmented(file)):
        return Clock()
    # The first frame of a WMA comes later than the file begins, by the encoder's delay.
    timed = stream if kind == "asf" else first
    ticks = stream.start_time if kind == "asf" else first.pts
    if ticks is None or timed.time_base is None:
        return Clock()
    return Clock(max(Fraction(0), ticks * timed.time_base))


def _clock_of_ogg_flac(file: BinaryIO, stream: AudioStream, first: AudioFrame) -> Clock:
    """Return the clock according to the first page; FFmpeg knows the time only from its end on."""
    header = stream.codec_context.extradata or b""
    page = first_page(file, stream.index)
    if page is None or header[0:2] != header[2:4]:  # the sizes of its blocks differ
        return Clock()
    samples = page.packets * first.samples
    return Clock(Fraction(max(0, page.position - samples), first.sample_rate), samples)


class ClockDrift:
    """The drift between the times of a container's frames and their number of samples."""

    def __init__(self, container: str, clock: Clock) -> None:
        self._applies = container in _GAPLESS
        self._known_from = clock.known_from
        self._start: float | None = None

    def of(self, frame: AudioFrame, read: int) -> float:
        """Return the seconds missing before this frame; a clock that jumps back starts over."""
        if not self._applies or frame.pts is None or read < self._known_from:
            return 0.0
        if (unit := frame.time_base) is None:
            return 0.0
        start = frame.pts * unit.numerator / unit.denominator - read / frame.sample_rate
        if self._start is None or start < self._start:
            self._start = start
        return start - self._start
