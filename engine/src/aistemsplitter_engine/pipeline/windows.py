"""The part of a track that windows still need, and the overlap-add of their estimates."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.base import Chunk, Grid


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
        self._weight = grid.weight
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
