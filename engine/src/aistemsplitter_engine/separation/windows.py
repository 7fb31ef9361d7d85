"""The windows of a track that are separated, and the overlap-add of their estimates.

A track is cut at every ``stride`` into chunks of one segment's length; the last ones are shorter. A
chunk is separated in the middle of a window of one segment, padded with the samples around it, and
with zeros past the ends of the track. Estimates overlap and are weighted with a triangle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.errors import OptionError

FloatArray = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Samples ``start`` to ``stop`` of a track, separated in a window that begins at ``window``."""

    start: int
    stop: int
    window: int


@dataclass(frozen=True, slots=True)
class Grid:
    """All chunks of a track of ``frames`` samples, the first of them ``offset`` samples before it.

    Separating a track with several offsets and averaging is Demucs' shift trick.
    """

    frames: int
    segment: int
    overlap: float
    offset: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1 or self.stride < 1:
            raise OptionError(f"overlap {self.overlap:g} is not at least 0 and below 1")

    @property
    def stride(self) -> int:
        """Samples from one chunk to the next."""
        return int((1 - self.overlap) * self.segment)

    def __len__(self) -> int:
        return -(-(self.frames + self.offset) // self.stride)

    def chunk(self, index: int) -> Chunk:
        """Return a chunk by its number, from 0 to ``len(grid) - 1``."""
        start = index * self.stride - self.offset
        stop = min(start + self.segment, self.frames)
        return Chunk(start, stop, start - (self.segment - (stop - start)) // 2)

    def first_reaching(self, frame: int) -> int:
        """Return the number of the first chunk that contributes to ``frame`` or to later ones."""
        if frame >= self.frames:
            return len(self)
        return max(0, (frame + self.offset - self.segment) // self.stride + 1)

    def finalized(self, done: int) -> int:
        """Return how many samples no chunk after the first ``done`` will change."""
        return self.frames if done >= len(self) else max(0, done * self.stride - self.offset)


class Mixture:
    """A buffer of the part of a track that windows still need, filled from a stream of blocks."""

    def __init__(self, blocks: Iterator[FloatArray]) -> None:
        self._blocks = blocks
        self._parts: list[FloatArray] = []
        self._start = 0  # of the first part
        self._stop = 0
        self._needed = 0
        self._ended = False

    def read(self, start: int, stop: int) -> FloatArray:
        """Return samples (2, stop - start), zeros where the track has none."""
        while self._stop < stop and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            else:
                self._parts.append(block)
                self._stop += block.shape[1]
                self.forget(self._needed)
        audio = np.zeros((2, stop - start), np.float32)
        place = self._start
        for part in self._parts:
            low, high = max(start, place), min(stop, place + part.shape[1])
            if low < high:
                audio[:, low - start : high - start] = part[:, low - place : high - place]
            place += part.shape[1]
        return audio

    def forget(self, before: int) -> None:
        """Discard samples before a position, including those not received yet."""
        self._needed = before
        while self._parts and self._start + self._parts[0].shape[1] <= before:
            self._start += self._parts.pop(0).shape[1]


class OverlapAdd:
    """Overlap-add of a grid's estimates, in order, into a stream. Holds about one segment."""

    def __init__(self, grid: Grid, sources: int, begin: int) -> None:
        self._segment = grid.segment
        self._weight = _triangle(grid.segment)
        self._begin = begin  # the first sample that was not returned yet
        self._sum = np.zeros((sources, 2, 0), np.float32)
        self._weights = np.zeros(0, np.float32)

    def add(self, chunk: Chunk, estimate: FloatArray) -> None:
        """Add an estimate (sources, 2, segment) of a chunk's whole window."""
        self._extend(chunk.stop - self._begin)
        skipped = max(0, self._begin - chunk.start)  # before the track, or already on disk
        length = chunk.stop - chunk.start
        weight = self._weight[skipped:length]
        offset = chunk.start - chunk.window
        place = slice(chunk.start + skipped - self._begin, chunk.stop - self._begin)
        self._sum[:, :, place] += weight * estimate[:, :, offset + skipped : offset + length]
        self._weights[place] += weight

    def take(self, stop: int) -> FloatArray:
        """Return and drop the estimates (sources, 2, n) up to ``stop``, which must be finalized."""
        n = stop - self._begin
        taken: FloatArray = self._sum[:, :, :n] / self._weights[:n]
        self._sum, self._weights = self._sum[:, :, n:].copy(), self._weights[n:].copy()
        self._begin = stop
        return taken

    def _extend(self, length: int) -> None:
        missing = length - self._sum.shape[2]
        if missing > 0:
            self._sum = np.pad(self._sum, ((0, 0), (0, 0), (0, missing)))
            self._weights = np.pad(self._weights, (0, missing))


def _triangle(length: int) -> FloatArray:
    half = length // 2
    rise = np.arange(1, half + 1, dtype=np.float32)
    fall = np.arange(length - half, 0, -1, dtype=np.float32)
    weight = np.concatenate([rise, fall])
    result: FloatArray = weight / weight.max()
    return result
