"""The part of a track that windows still need, and the overlap-add of their estimates."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np

from aistemsplitter_engine.arrays import Array, Arrays, FloatArray
from aistemsplitter_engine.families.base import Chunk, Grid, Loudness, Piece


class Mixture:
    """A buffer of the part of a track that windows still need, filled from a stream of blocks.

    It keeps each block as it was read, and normalized in an array of the device, where all windows
    and networks share it.
    """

    def __init__(self, blocks: Iterator[FloatArray], loudness: Loudness, arrays: Arrays) -> None:
        self._blocks, self._loudness, self._arrays = blocks, loudness, arrays
        self._starts: list[int] = []
        self._read: list[FloatArray] = []
        self._normalized: list[Array] = []
        self._silent: list[bool] = []
        self._stop = 0
        self._needed = 0
        self._ended = False

    def read(self, start: int, stop: int) -> FloatArray:
        """Return samples (2, stop - start) of the track as they were read."""
        self._receive(stop)
        audio = np.zeros((2, stop - start), np.float32)
        for part, source, target in self._overlaps(start, stop):
            audio[:, target] = self._read[part][:, source]
        return audio

    def window(self, pieces: Sequence[Piece], out: Array) -> None:
        """Write a window's pieces, normalized, into ``out`` (2, n), which is silent elsewhere."""
        self._receive(max((piece.stop for piece in pieces), default=0))
        if not self._fill(pieces, out.shape[1]):
            out[:] = 0
        for piece in pieces:
            size = piece.stop - piece.start
            place = out[:, piece.place : piece.place + size]
            for part, source, target in self._overlaps(piece.start, piece.stop):
                samples = self._normalized[part][:, source]
                if piece.reversed:
                    target = slice(size - target.stop, size - target.start)
                    samples = self._arrays.library.flip(samples, (1,))
                place[:, target] = samples

    def is_silent(self, pieces: Sequence[Piece], length: int) -> bool:
        """Return True only if a window consists of samples of the track, and all of them are 0.

        All such windows of one length are equal, and so are their estimates.
        """
        self._receive(max((piece.stop for piece in pieces), default=0))
        return self._fill(pieces, length) and all(
            self._silent[part]
            for piece in pieces
            for part, *_ in self._overlaps(piece.start, piece.stop)
        )

    def forget(self, before: int) -> None:
        """Discard samples before a position, including those not received yet."""
        self._needed = before
        count = bisect_right(self._starts, before) - 1  # the last of these reaches further
        if self._stop <= before:
            count += 1
        if count > 0:
            del self._starts[:count], self._read[:count]
            del self._normalized[:count], self._silent[:count]

    def _fill(self, pieces: Sequence[Piece], length: int) -> bool:
        """Return whether the pieces lie in the track and fill a window of a length."""
        samples = sum(piece.stop - piece.start for piece in pieces)
        return samples == length and all(piece.stop <= self._stop for piece in pieces)

    def _receive(self, stop: int) -> None:
        """Read blocks up to a position, or to the end of the track."""
        while self._stop < stop and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            elif block.shape[1]:
                self._append(block)

    def _append(self, block: FloatArray) -> None:
        start, self._stop = self._stop, self._stop + block.shape[1]
        if self._stop <= self._needed:
            return
        self._starts.append(start)
        self._read.append(block)
        self._silent.append(not block.any())
        self._normalized.append(
            self._arrays.upload(block.shape, lambda out: self._loudness.normalize(block, out))
        )

    def _overlaps(self, start: int, stop: int) -> Iterator[tuple[int, slice, slice]]:
        """Yield the blocks that hold samples of a range, with the samples' places in both."""
        for part in range(max(0, bisect_right(self._starts, start) - 1), len(self._starts)):
            begin = self._starts[part]
            low, high = max(start, begin), min(stop, begin + self._read[part].shape[1])
            if begin >= stop:
                break
            if low < high:
                yield part, slice(low - begin, high - begin), slice(low - start, high - start)


class OverlapAdd:
    """Overlap-add of a grid's estimates, in order, into a stream.

    A ring holds one segment of weighted sums. A sample is therefore only added once all samples a
    segment before it were dropped.
    """

    def __init__(self, grid: Grid, sources: int, begin: int, arrays: Arrays) -> None:
        self._arrays, self._length = arrays, grid.segment
        self._weights_of_chunks = [
            arrays.upload(weight.shape, partial(_copy, weight)) for weight in grid.weights
        ]
        self._sum = arrays.empty(sources, 2, self._length)
        self._weights = arrays.empty(self._length)
        self._begin = begin  # the first sample that was not dropped
        self._end = begin  # of the samples that some estimate was added to

    def add(self, chunk: Chunk, estimate: Array, start: int, stop: int) -> None:
        """Add samples ``start`` to ``stop`` of a chunk.

        The estimate (sources, 2, segment) is that of the chunk's whole window. Samples are added in
        their order; those that the chunk does not have, or that were dropped, are left out.
        """
        multiply = self._arrays.library.multiply
        weights = self._weights_of_chunks[chunk.weight]
        start, stop = max(start, chunk.start, self._begin), min(stop, chunk.stop)
        for low, high in self._pieces(start, min(self._end, stop)):
            ring, weight = self._ring(low, high), weights[low - chunk.start : high - chunk.start]
            self._sum[:, :, ring] += (
                weight * estimate[:, :, low - chunk.window : high - chunk.window]
            )
            self._weights[ring] += weight
        for low, high in self._pieces(max(start, self._end), stop):
            ring, weight = self._ring(low, high), weights[low - chunk.start : high - chunk.start]
            samples = estimate[:, :, low - chunk.window : high - chunk.window]
            multiply(weight, samples, out=self._sum[:, :, ring])
            self._weights[ring] = weight
        self._end = max(self._end, stop)

    def average(self, start: int, stop: int, out: Array) -> None:
        """Write the weighted averages of the estimates into ``out`` (sources, 2, n).

        The samples must be finalized.
        """
        divide = self._arrays.library.divide
        for low, high in self._pieces(start, stop):
            ring = self._ring(low, high)
            place = out[:, :, low - start : high - start]
            divide(self._sum[:, :, ring], self._weights[ring], out=place)

    def drop(self, stop: int) -> None:
        """Drop the samples before ``stop``."""
        self._begin = stop

    def _pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Split a range at the ring's ends, and into pieces for the processor's cache."""
        while start < stop:
            end = min(stop, start + self._arrays.piece, (start // self._length + 1) * self._length)
            yield start, end
            start = end

    def _ring(self, start: int, stop: int) -> slice:
        """Return the place of samples in the ring."""
        return slice(start % self._length, start % self._length + stop - start)


def _copy(source: FloatArray, out: FloatArray) -> None:
    np.copyto(out, source)
