"""The second pass: separate windows of the mixture, and yield stems once they are finalized."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from aistemsplitter_engine.arrays import Array, Arrays, FloatArray
from aistemsplitter_engine.families.base import Chunk, Loudness
from aistemsplitter_engine.pipeline.batches import Batches
from aistemsplitter_engine.pipeline.windows import Estimate, Mixture, OverlapAdd
from aistemsplitter_engine.runtimes import Runtime

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A network and the indices of the sources that are wanted from it.

    Attributes:
        batches: Shared by all songs that the network separates; None for this song's own.
    """

    runtime: Runtime
    sources: tuple[int, ...]
    batches: Batches | None = None


@dataclass(frozen=True, slots=True)
class Estimates:
    """Finalized samples from ``start`` on, of the wanted sources (s, 2, n)."""

    start: int
    sources: FloatArray
    read_mixture: Callable[[int, int], FloatArray]

    @property
    def mixture(self) -> FloatArray:
        """The mixture (2, n). It must be read before the next estimates are requested."""
        return self.read_mixture(self.start, self.start + self.sources.shape[2])


def separate(
    blocks: Iterable[FloatArray],
    loudness: Loudness,
    parts: Sequence[Part],
    offsets: Sequence[Sequence[int]],
    *,
    overlap: float,
    batch_size: int,
    begin: int = 0,
    on_progress: Progress = lambda _: None,
) -> Generator[Estimates]:
    """Separate a track, given as stereo blocks (2, n) at the models' rate, from ``begin`` on.

    Samples are yielded as soon as they are finalized, about one stride at a time. Memory holds a
    few batches, whatever the track's length. The sources are those of all parts, in their order.
    All parts run on one device, where windows, overlap-add and levels are computed, too.
    ``on_progress`` is called with the fraction of segments that are done: before the first one, and
    after each batch, once its finalized samples were consumed. Its exceptions end the separation.
    """
    arrays = parts[0].runtime.arrays
    joined = _Joined(
        [
            [_Pass(part, loudness.frames, overlap, offset, begin) for offset in offsets_of_part]
            for part, offsets_of_part in zip(parts, offsets, strict=True)
        ],
        loudness,
        arrays,
        begin,
    )
    flat = joined.passes
    total, done = sum(len(one.grid) for one in flat), sum(one.next for one in flat)
    segment = max(one.grid.segment for one in flat)
    tape = min(loudness.frames, (batch_size + 1) * segment)
    mixture = Mixture(iter(blocks), loudness, arrays, tape=tape)
    mixture.forget_read(begin)
    mixture.forget_windows(min(one.needs for one in flat))
    workers = max(part.runtime.concurrency for part in parts)
    with ThreadPoolExecutor(workers, "separate") as pool:
        networks = _Networks(parts, mixture, pool, batch_size)
        waiting: deque[tuple[_Batch, list[Future[Array]]]] = deque()
        rounds = _rounds(flat, batch_size)
        on_progress(done / total)
        while True:
            while len(waiting) <= workers and (batch := next(rounds, None)):
                waiting.append((batch, networks.submit(batch)))
            if not waiting:
                break
            batch, futures = waiting.popleft()
            estimates = [future.result() for future in futures]
            batch.one.received.extend(zip(batch.chunks, estimates, strict=True))
            done += len(estimates)
            for start, sources in _one_ahead(joined.finalized()):
                yield Estimates(start, sources(), mixture.read)
            mixture.forget_read(joined.begin)
            on_progress(done / total)


class _Pass:
    """One pass of a model over the track, with one offset."""

    def __init__(self, part: Part, frames: int, overlap: float, offset: int, begin: int) -> None:
        self.part = part
        self.grid = part.runtime.network.grid(frames, overlap, offset)
        self.overlap_add = OverlapAdd(self.grid, len(part.sources), begin, part.runtime.arrays)
        self.next = self._added = self.grid.first_reaching(begin)
        # ``next`` is the first chunk that was not submitted, ``_added`` the first not added.
        self.received: deque[tuple[Chunk, Array]] = deque()  # estimates that were not added yet

    @property
    def finalized(self) -> int:
        """The end of the samples that are finalized."""
        return self.grid.finalized(self._added)

    @property
    def needs(self) -> int:
        """The first sample that the next windows still need."""
        if self.next == len(self.grid):
            return self.grid.frames
        return self.grid.first_needed(self.next)

    def next_received(self) -> Estimate:
        """Return the next of the estimates received, which the caller adds."""
        self._added += 1
        return Estimate(*self.received.popleft(), self.finalized)


class _Joined:
    """The stems of all passes, joined sample by sample."""

    def __init__(
        self, groups: Sequence[Sequence[_Pass]], loudness: Loudness, arrays: Arrays, begin: int
    ) -> None:
        self._groups, self._loudness, self._arrays = groups, loudness, arrays
        self.passes = [one for group in groups for one in group]
        self.begin = begin  # the first sample that was not returned yet

    def finalized(self) -> Iterator[tuple[int, Callable[[], FloatArray]]]:
        """Yield starts and sources (s, 2, n) of the samples that are finalized by now.

        Estimates are added to the pass that is furthest behind, so that each has to keep one
        segment only. The sources are on their way to main memory; calling them waits.
        """
        while (last := min(self.passes, key=lambda one: one.finalized)).received:
            estimate = last.next_received()
            start, stop = self.begin, min(one.finalized for one in self.passes)
            with self._arrays.stream():
                if stop <= start:
                    last.overlap_add.add(estimate, start, estimate.chunk.stop)
                    continue
                sources = self._arrays.download(self._sources(start, stop, last, estimate))
                last.overlap_add.add(estimate, stop, estimate.chunk.stop)
            self.begin = stop
            yield start, sources

    def _sources(self, start: int, stop: int, last: _Pass, estimate: Estimate) -> Array:
        """Return the sources, averaged over each part's passes; drop them from the passes.

        The estimate is that of ``last``, to which it was not added yet. It is added piece by piece,
        while each is in the processor's cache, or not at all where nothing is added to it later.
        """
        count = sum(len(group[0].part.sources) for group in self._groups)
        result = self._arrays.empty(count, 2, stop - start)
        for low, high in last.overlap_add.pieces(start, stop):
            piece, row = result[:, :, low - start : high - start], 0
            for group in self._groups:
                rows = piece[row : row + len(group[0].part.sources)]
                if group == [last]:
                    averages = last.overlap_add.average_with(estimate, low, high, rows)
                else:
                    if last in group:
                        last.overlap_add.add(estimate, low, high)
                    averages = self._average(group, low, high, rows)
                self._loudness.restore(averages, rows, self._arrays.library)
                row += len(rows)
        for one in self.passes:
            one.overlap_add.drop(stop)
        return result

    def _average(self, group: Sequence[_Pass], start: int, stop: int, out: Array) -> Array:
        group[0].overlap_add.average(start, stop, out)
        if len(group) == 1:
            return out
        other = self._arrays.empty(*out.shape)
        for one in group[1:]:
            one.overlap_add.average(start, stop, other)
            out += other
        out /= len(group)
        return out


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive chunks of a pass.

    Attributes:
        numbers: Their numbers in the grid.
        needed: The first sample that the windows of later batches contain.
    """

    one: _Pass
    numbers: range
    needed: int

    @property
    def chunks(self) -> list[Chunk]:
        return [self.one.grid.chunk(number) for number in self.numbers]

    def windows(self, mixture: Mixture) -> tuple[list[Array], bool]:
        """Return the windows (2, segment), and whether all are digital silence inside the track."""
        grid, windows, silent = self.one.grid, [], True
        for number in self.numbers:
            mixture.forget_windows(min(self.needed, grid.first_needed(number)))
            pieces = grid.pieces(grid.chunk(number))
            windows.append(mixture.window(pieces, grid.segment))
            silent = silent and mixture.is_silent(pieces, grid.segment)
        return windows, silent


class _Networks:
    """The networks of a song's parts. Each computes the estimate of a silent window once."""

    def __init__(
        self, parts: Sequence[Part], mixture: Mixture, pool: ThreadPoolExecutor, batch_size: int
    ) -> None:
        self._mixture, self._pool, self._batch_size = mixture, pool, batch_size
        self._batches = {part: part.batches or Batches(part.runtime) for part in parts}
        self._of_silence: dict[Part, Future[Array]] = {}

    def submit(self, batch: _Batch) -> list[Future[Array]]:
        """Return a future estimate (sources, 2, segment) for each chunk."""
        part = batch.one.part
        with part.runtime.arrays.stream():
            windows, silent = batch.windows(self._mixture)
        if silent and part in self._of_silence:
            return [self._of_silence[part]] * len(windows)
        futures = self._batches[part].submit(self._pool, windows, part.sources, self._batch_size)
        if silent:
            self._of_silence[part] = futures[0]
        return futures


def _rounds(passes: Sequence[_Pass], batch_size: int) -> Iterator[_Batch]:
    """Yield all chunks in batches, the passes in turn, so that all advance together."""
    while any(one.next < len(one.grid) for one in passes):
        for one in passes:
            numbers = range(one.next, min(one.next + batch_size, len(one.grid)))
            one.next += len(numbers)
            if numbers:
                yield _Batch(one, numbers, min(other.needs for other in passes))


def _one_ahead(
    items: Iterable[tuple[int, Callable[[], FloatArray]]],
) -> Iterator[tuple[int, Callable[[], FloatArray]]]:
    """Yield items after the next one was computed, so that downloads overlap."""
    previous = None
    for item in items:
        if previous is not None:
            yield previous
        previous = item
    if previous is not None:
        yield previous
