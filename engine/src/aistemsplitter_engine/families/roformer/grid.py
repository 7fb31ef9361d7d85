"""The chunks of a track as in Music-Source-Separation-Training (MSST), and their windows.

A track is extended at both ends by the reflection of a border, which is the overlap of two chunks,
if it is longer than two borders. It is then cut at every stride into chunks of one segment. Those
that reach past its end are filled with their own reflection or, if they are shorter than half a
segment, with silence. Estimates overlap and fade in and out over a tenth of a segment, but not at
the beginning of the first chunk and the end of the last one.

MSST gets this result with batches of one chunk; its windows of larger batches differ. At overlaps
of less than a tenth, where MSST's fades leave silent samples, fades have the overlap's length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.families.base import Chunk, Piece

_ROUNDING = 1e-6  # so that 1 - 2 / 3 of 9 samples are 3
_PLAIN, _FIRST, _LAST = range(3)  # numbers of the weights


@dataclass(frozen=True, slots=True)
class TrapezoidGrid:
    """All chunks of a track of ``frames`` samples."""

    frames: int
    segment: int
    overlap: float

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1 or self.stride < 1:
            raise OptionError(f"overlap {self.overlap:g} is not in the range from 0 to below 1")

    @property
    def stride(self) -> int:
        """Samples from one chunk to the next."""
        return int((1 - self.overlap) * self.segment + _ROUNDING)

    @property
    def border(self) -> int:
        """Samples that are reflected at each end of the track."""
        overlap = self.segment - self.stride
        return overlap if self.frames > 2 * overlap else 0

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """Weights of the samples of a chunk in the middle, of the first and of the last one."""
        return _trapezoids(self.segment, min(self.segment // 10, self.segment - self.stride))

    def __len__(self) -> int:
        return -(-(self.frames + self.border) // self.stride)

    def chunk(self, index: int) -> Chunk:
        """Return a chunk by its number, from 0 to ``len(grid) - 1``."""
        start = index * self.stride - self.border
        last = start + self.stride >= self.frames + self.border
        weight = _FIRST if index == 0 else _LAST if last else _PLAIN
        return Chunk(start, min(start + self.segment, self.frames), start, weight)

    def pieces(self, chunk: Chunk) -> tuple[Piece, ...]:
        """Return the samples in a chunk's window: of the track, of its borders, and the filling."""
        start = chunk.start
        size = min(self.segment, self.frames + self.border - start)
        pieces = tuple(self._extended(start, start + size))
        missing = self.segment - size
        if missing and size > self.segment // 2:
            pieces += tuple(_reflected(pieces, size - 1 - missing, size - 1, size))
        return pieces

    def first_needed(self, index: int) -> int:
        """Return the first sample that the windows of chunk ``index`` and later ones contain."""
        return max(0, min(self.chunk(index).start, self.frames - 1 - self.border))

    def first_reaching(self, frame: int) -> int:
        """Return the number of the first chunk that contributes to ``frame`` or to later ones."""
        if frame >= self.frames:
            return len(self)
        return max(0, (frame + self.border - self.segment) // self.stride + 1)

    def finalized(self, done: int) -> int:
        """Return how many samples no chunk after the first ``done`` will change."""
        return self.frames if done >= len(self) else max(0, done * self.stride - self.border)

    def _extended(self, start: int, stop: int) -> Iterator[Piece]:
        """Yield the pieces of a range of the track, which is reflected at both ends."""
        if start < 0:
            yield Piece(0, 1 - min(stop, 0), 1 - start, reversed=True)
        low, high = max(start, 0), min(stop, self.frames)
        if low < high:
            yield Piece(low - start, low, high)
        if stop > self.frames:
            low, mirror = max(start, self.frames), 2 * self.frames - 1
            yield Piece(low - start, mirror - stop, mirror - low, reversed=True)


def _reflected(pieces: tuple[Piece, ...], start: int, stop: int, place: int) -> Iterator[Piece]:
    """Yield samples ``start`` to ``stop`` of a window backwards, placed at ``place``."""
    for piece in reversed(pieces):
        low = max(start, piece.place)
        high = min(stop, piece.place + piece.stop - piece.start)
        if low >= high:
            continue
        before, after = low - piece.place, high - piece.place
        first = piece.stop - after if piece.reversed else piece.start + before
        yield Piece(place + stop - high, first, first + high - low, not piece.reversed)


@lru_cache(maxsize=4)
def _trapezoids(length: int, fade: int) -> tuple[FloatArray, ...]:
    first, last = np.ones((2, length), np.float32)
    first[length - fade :] = np.linspace(1, 0, fade, dtype=np.float32)
    last[:fade] = np.linspace(0, 1, fade, dtype=np.float32)
    return first * last, first, last
