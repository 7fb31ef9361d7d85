"""The part of a track that windows still need, and the overlap-add of their estimates."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aistemsplitter_engine.arrays import Array, Arrays, FloatArray
from aistemsplitter_engine.families.base import Chunk, Grid, Loudness, Piece

_PROBE = 1009  # every so many samples, to see at once that most blocks are not silent


class Mixture:
    """The part of a track that is still needed, read from a stream of blocks.

    Blocks are kept as they were read. Their normalized samples are appended to a tape, an array of
    the device. A window that is a range of the track is a view of the tape. A full tape is replaced
    by another one, and freed with the last of its windows.

    Args:
        tape: Samples of a tape. The longer it is, the fewer samples are copied to the next one.
    """

    def __init__(
        self, blocks: Iterator[FloatArray], loudness: Loudness, arrays: Arrays, *, tape: int
    ) -> None:
        self._blocks, self._loudness, self._arrays = blocks, loudness, arrays
        self._length = tape
        self._starts: list[int] = []
        self._read: list[FloatArray] = []
        self._loud: deque[tuple[int, int]] = deque()  # start and stop of blocks with any sound
        self._stop = 0  # of the samples that were read
        self._ended = False
        self._read_needed = self._needed = 0
        self._tape = arrays.empty(2, 0)
        self._tape_start = self._tape_stop = 0  # of the samples on the tape

    def read(self, start: int, stop: int) -> FloatArray:
        """Return samples (2, stop - start) of the track as they were read."""
        self._receive(stop)
        audio = np.zeros((2, stop - start), np.float32)
        for part in range(max(0, bisect_right(self._starts, start) - 1), len(self._starts)):
            begin, block = self._starts[part], self._read[part]
            low, high = max(start, begin), min(stop, begin + block.shape[1])
            if low < high:
                audio[:, low - start : high - start] = block[:, low - begin : high - begin]
            if high == stop:
                break
        return audio

    def window(self, pieces: Sequence[Piece], length: int) -> Array:
        """Return the normalized samples (2, length) of a window, which is silent elsewhere.

        The result may be a view of samples that other windows share, and must not be changed.
        """
        self._receive_all(pieces)
        if len(pieces) == 1 and not pieces[0].reversed and _size(pieces) == length:
            return self._on_tape(pieces[0])
        out = self._arrays.empty(2, length)
        if _size(pieces) != length:
            out[:] = 0
        for piece in pieces:
            samples = self._on_tape(piece)
            if piece.reversed:
                samples = self._arrays.library.flip(samples, (1,))
            out[:, piece.place : piece.place + samples.shape[1]] = samples
        return out

    def is_silent(self, pieces: Sequence[Piece], length: int) -> bool:
        """Return True only if a window consists of samples of the track, and all of them are 0.

        All such windows of one length are equal, and so are their estimates.
        """
        self._receive_all(pieces)
        return (
            _size(pieces) == length
            and all(piece.stop <= self._stop for piece in pieces)
            and not any(
                low < piece.stop and piece.start < high
                for piece in pieces
                for low, high in self._loud
            )
        )

    def forget_read(self, before: int) -> None:
        """Discard the samples as they were read before a position."""
        self._read_needed = before
        count = bisect_right(self._starts, before) - 1  # the last of these reaches further
        if self._stop <= before:
            count += 1
        if count > 0:
            del self._starts[:count], self._read[:count]

    def forget_windows(self, before: int) -> None:
        """Discard normalized samples before a position, including those not received yet."""
        self._needed = before
        if (skipped := before - self._tape_stop) > 0:
            self._tape_start += skipped
            self._tape_stop += skipped
        while self._loud and self._loud[0][1] <= before:
            self._loud.popleft()

    def _receive_all(self, pieces: Sequence[Piece]) -> None:
        self._receive(max((piece.stop for piece in pieces), default=0))

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
        if self._stop > self._read_needed:
            self._starts.append(start)
            self._read.append(block)
        if self._stop <= self._needed:
            return
        if block[:, ::_PROBE].any() or block.any():
            self._loud.append((start, self._stop))
        audio = block[:, self._tape_stop - start :]
        with self._arrays.stream():
            place = self._room(audio.shape[1])
            self._arrays.write(place, lambda out: self._loudness.normalize(audio, out))

    def _on_tape(self, piece: Piece) -> Array:
        """Return a piece's samples, silent past the end of a track that is shorter than expected.

        The error is raised later, when all of its audio was read.
        """
        if (missing := piece.stop - self._tape_stop) > 0:
            self._room(missing)[:] = 0
        return self._tape[:, piece.start - self._tape_start : piece.stop - self._tape_start]

    def _room(self, length: int) -> Array:
        """Return the next samples (2, length) of the tape, to be written."""
        used = self._tape_stop - self._tape_start
        if used + length > self._tape.shape[1]:
            kept = self._tape_stop - self._needed
            tape = self._arrays.empty(2, max(self._length, 2 * (kept + length)))
            tape[:, :kept] = self._tape[:, used - kept : used]
            self._tape, self._tape_start, used = tape, self._tape_stop - kept, kept
        self._tape_stop += length
        return self._tape[:, used : used + length]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A network's estimate of a chunk.

    Attributes:
        samples: Those of the chunk's whole window (sources, 2, segment).
        finalized: Start of the next chunk: no later one changes the samples before it.
    """

    chunk: Chunk
    samples: Array
    finalized: int

    def part(self, start: int, stop: int) -> Array:
        """Return samples ``start`` to ``stop`` of the track."""
        return self.samples[:, :, start - self.chunk.window : stop - self.chunk.window]


class OverlapAdd:
    """Overlap-add of a grid's estimates, in order, into a stream.

    A ring holds one segment of weighted sums. A sample is therefore only added once all samples a
    segment before it were dropped. Where only one chunk has a sample, its average is the estimate
    itself, with a weight of 1.
    """

    def __init__(self, grid: Grid, sources: int, begin: int, arrays: Arrays) -> None:
        self._arrays, self._length = arrays, grid.segment
        self._weights_of_chunks = [_uploaded(weight, arrays) for weight in grid.weights]
        self._sum = arrays.empty(sources, 2, self._length)
        self._weights = arrays.empty(self._length)
        self._begin = begin  # the first sample that was not dropped
        self._end = begin  # of the samples that some estimate was added to

    def add(self, estimate: Estimate, start: int, stop: int) -> None:
        """Add samples ``start`` to ``stop`` of an estimate.

        Samples are added in their order; those that the chunk does not have, or that were dropped,
        are left out.
        """
        chunk = estimate.chunk
        start, stop = max(start, chunk.start, self._begin), min(stop, chunk.stop)
        for low, high in self._pieces(start, min(self._end, stop)):
            ring, weight = self._ring(low, high), self._weight_of(chunk, low, high)
            self._sum[:, :, ring] += weight * estimate.part(low, high)
            self._weights[ring] += weight
        start = max(start, self._end)
        for low, high in self._pieces(start, min(estimate.finalized, stop)):
            ring = self._ring(low, high)
            self._sum[:, :, ring] = estimate.part(low, high)
            self._weights[ring] = 1
        for low, high in self._pieces(max(start, estimate.finalized), stop):
            ring, weight = self._ring(low, high), self._weight_of(chunk, low, high)
            self._arrays.library.multiply(
                weight, estimate.part(low, high), out=self._sum[:, :, ring]
            )
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

    def average_with(self, estimate: Estimate, start: int, stop: int, out: Array) -> Array:
        """Return the averages of samples that the estimate finalizes, without adding it.

        They are those that :meth:`average` writes after :meth:`add`. The result is ``out``, or a
        view of the estimate.

        Args:
            start, stop: A range of :meth:`pieces`.
        """
        if start >= self._end:
            return estimate.part(start, stop)
        multiply = self._arrays.library.multiply
        for low, high in self._pieces(start, stop):
            ring, weight = self._ring(low, high), self._weight_of(estimate.chunk, low, high)
            place = out[:, :, low - start : high - start]
            multiply(weight, estimate.part(low, high), out=place)
            place += self._sum[:, :, ring]
            place /= self._weights[ring] + weight
        return out

    def pieces(self, start: int, stop: int) -> Iterator[tuple[int, int]]:
        """Split a range at the end of the samples that some estimate was added to.

        The parts are small enough for the processor's cache.
        """
        end = min(max(start, self._end), stop)
        for low, high in ((start, end), (end, stop)):
            for begin in range(low, high, self._arrays.piece):
                yield begin, min(begin + self._arrays.piece, high)

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

    def _weight_of(self, chunk: Chunk, start: int, stop: int) -> Array:
        return self._weights_of_chunks[chunk.weight][start - chunk.start : stop - chunk.start]


def _size(pieces: Sequence[Piece]) -> int:
    return sum(piece.stop - piece.start for piece in pieces)


def _uploaded(values: FloatArray, arrays: Arrays) -> Array:
    array = arrays.empty(len(values))
    arrays.write(array, lambda out: np.copyto(out, values))
    return array
