"""Demucs' chunks of a track, and their windows.

A track is cut at every ``stride`` into chunks of one segment's length; the last ones are shorter. A
chunk is separated in the middle of a window of one segment, padded with the samples around it, and
with zeros past the ends of the track. Estimates overlap and are weighted with a triangle.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.families.base import Chunk, Piece


@dataclass(frozen=True, slots=True)
class TriangleGrid:
    """All chunks of a track of ``frames`` samples, the first of them ``offset`` samples before it.

    Separating a track with several offsets and averaging is Demucs' shift trick.
    """

    frames: int
    segment: int
    overlap: float
    offset: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.overlap < 1 or self.stride < 1:
            raise OptionError(f"overlap {self.overlap:g} is not in the range from 0 to below 1")

    @property
    def weights(self) -> tuple[FloatArray, ...]:
        """The only weights of a window's samples in the overlap-add."""
        return (_triangle(self.segment),)

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

    def pieces(self, chunk: Chunk) -> tuple[Piece, ...]:
        """Return the samples in a chunk's window, which is silent past the track's ends."""
        start = max(0, chunk.window)
        stop = min(chunk.window + self.segment, self.frames)
        return (Piece(start - chunk.window, start, stop),) if start < stop else ()

    def first_needed(self, index: int) -> int:
        """Return the first sample that the windows of chunk ``index`` and later ones contain."""
        return max(0, self.chunk(index).window)

    def first_reaching(self, frame: int) -> int:
        """Return the number of the first chunk that contributes to ``frame`` or to later ones."""
        if frame >= self.frames:
            return len(self)
        return max(0, (frame + self.offset - self.segment) // self.stride + 1)

    def finalized(self, done: int) -> int:
        """Return how many samples no chunk after the first ``done`` will change."""
        return self.frames if done >= len(self) else max(0, done * self.stride - self.offset)


@lru_cache(maxsize=4)
def _triangle(length: int) -> FloatArray:
    half = length // 2
    rise = np.arange(1, half + 1, dtype=np.float32)
    fall = np.arange(length - half, 0, -1, dtype=np.float32)
    weight = np.concatenate([rise, fall])
    result: FloatArray = weight / weight.max()
    return result
