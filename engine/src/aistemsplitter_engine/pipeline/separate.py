"""The second pass: separate windows of the mixture, and yield stems once they are finalized."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import cycle

from aistemsplitter_engine.arrays import Array, Arrays, FloatArray
from aistemsplitter_engine.families.base import Chunk, Loudness
from aistemsplitter_engine.pipeline.windows import Mixture, OverlapAdd
from aistemsplitter_engine.runtimes import Runtime

Progress = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Part:
    """A model and the indices of the sources that are wanted from it."""

    runtime: Runtime
    sources: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Estimates:
    """Finalized samples from ``start`` on: the mixture (2, n) and the wanted sources (s, 2, n)."""

    start: int
    mixture: FloatArray
    sources: FloatArray


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
    mixture = Mixture(iter(blocks), loudness, arrays)
    mixture.forget(min([begin, *(one.needs for one in flat)]))
    workers = max(part.runtime.concurrency for part in parts)
    windows = _Windows(mixture, arrays, batch_size, workers + 1)
    with ThreadPoolExecutor(workers, "separate") as pool:
        waiting: deque[tuple[_Batch, bool, Future[Sequence[Array]]]] = deque()
        of_silence: dict[Part, Array] = {}  # the estimate of a silent window
        rounds = _rounds(flat, batch_size)
        on_progress(done / total)
        while True:
            while len(waiting) <= workers and (batch := next(rounds, None)):
                part = batch.one.part
                silent = windows.are_silent(batch)
                future: Future[Sequence[Array]] = Future()
                if silent and part in of_silence:
                    future.set_result([of_silence[part]] * len(batch.chunks))
                else:
                    with arrays.stream():
                        segments = windows.of(batch)
                    future = pool.submit(part.runtime, segments, part.sources)
                waiting.append((batch, silent, future))
            if not waiting:
                break
            batch, silent, future = waiting.popleft()
            estimates = future.result()
            if silent:
                of_silence[batch.one.part] = estimates[0]
            batch.one.received.extend(zip(batch.chunks, estimates, strict=True))
            done += len(batch.chunks)
            for start, stop, sources in _one_ahead(joined.finalized()):
                yield Estimates(start, mixture.read(start, stop), sources())
            mixture.forget(min([joined.begin, *(one.needs for one in flat)]))
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

    def next_received(self) -> tuple[Chunk, Array]:
        """Return the next of the estimates received, which the caller adds."""
        self._added += 1
        return self.received.popleft()


class _Joined:
    """The stems of all passes, joined sample by sample."""

    def __init__(
        self, groups: Sequence[Sequence[_Pass]], loudness: Loudness, arrays: Arrays, begin: int
    ) -> None:
        self._groups, self._loudness, self._arrays = groups, loudness, arrays
        self.passes = [one for group in groups for one in group]
        self.begin = begin  # the first sample that was not returned yet

    def finalized(self) -> Iterator[tuple[int, int, Callable[[], FloatArray]]]:
        """Yield starts, stops and sources (s, 2, n) of the samples that are finalized by now.

        Estimates are added to the pass that is furthest behind, so that each has to keep one
        segment only. The sources are on their way to main memory; calling them waits.
        """
        while (last := min(self.passes, key=lambda one: one.finalized)).received:
            chunk, estimate = last.next_received()
            add = partial(last.overlap_add.add, chunk, estimate)
            start, stop = self.begin, min(one.finalized for one in self.passes)
            with self._arrays.stream():
                if stop <= start:
                    add(start, chunk.stop)
                    continue
                sources = self._arrays.download(self._sources(start, stop, add))
                add(stop, chunk.stop)
            self.begin = stop
            yield start, stop, sources

    def _sources(self, start: int, stop: int, add: Callable[[int, int], None]) -> Array:
        """Return the sources, averaged over each part's passes; drop them from the passes.

        ``add`` adds the last estimate: piece by piece, while each is in the processor's cache.
        """
        count = sum(len(group[0].part.sources) for group in self._groups)
        result = self._arrays.empty(count, 2, stop - start)
        for low in range(start, stop, self._arrays.piece):
            high = min(stop, low + self._arrays.piece)
            add(low, high)
            piece, row = result[:, :, low - start : high - start], 0
            for group in self._groups:
                rows = piece[row : row + len(group[0].part.sources)]
                self._average(group, low, high, rows)
                row += len(rows)
            self._loudness.restore(piece)
        for one in self.passes:
            one.overlap_add.drop(stop)
        return result

    def _average(self, group: Sequence[_Pass], start: int, stop: int, out: Array) -> None:
        group[0].overlap_add.average(start, stop, out)
        if len(group) == 1:
            return
        other = self._arrays.empty(*out.shape)
        for one in group[1:]:
            one.overlap_add.average(start, stop, other)
            out += other
        out /= len(group)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Consecutive chunks of a pass."""

    one: _Pass
    chunks: list[Chunk]


class _Windows:
    """Batches of windows (batch, 2, segment), of which ``count`` are in use at the same time.

    Networks of a bag share the windows: two consecutive batches of the same windows are one array.
    """

    def __init__(self, mixture: Mixture, arrays: Arrays, batch_size: int, count: int) -> None:
        self._mixture, self._arrays = mixture, arrays
        self._batch_size, self._count = batch_size, count
        self._buffers: dict[int, Iterator[Array]] = {}  # by length of a segment
        self._last: tuple[int, list[Chunk], Array] | None = None

    def are_silent(self, batch: _Batch) -> bool:
        """Return whether all windows of a batch are digital silence inside the track."""
        grid = batch.one.grid
        return all(
            self._mixture.is_silent(grid.pieces(chunk), grid.segment) for chunk in batch.chunks
        )

    def of(self, batch: _Batch) -> Array:
        """Return the windows of a batch; they are valid until ``count`` later ones were made."""
        segment = batch.one.grid.segment
        if self._last is not None and self._last[:2] == (segment, batch.chunks):
            return self._last[2]
        if segment not in self._buffers:
            size = min(self._batch_size, len(batch.one.grid))
            made = (self._arrays.empty(size, 2, segment) for _ in range(self._count))
            self._buffers[segment] = cycle(made)
        windows = next(self._buffers[segment])[: len(batch.chunks)]
        for chunk, window in zip(batch.chunks, windows, strict=True):
            self._mixture.window(batch.one.grid.pieces(chunk), window)
        self._last = segment, batch.chunks, windows
        return windows


def _rounds(passes: Sequence[_Pass], batch_size: int) -> Iterator[_Batch]:
    """Yield all chunks in batches, the passes in turn, so that all advance together."""
    while any(one.next < len(one.grid) for one in passes):
        for one in passes:
            stop = min(one.next + batch_size, len(one.grid))
            chunks = [one.grid.chunk(index) for index in range(one.next, stop)]
            one.next = stop
            if chunks:
                yield _Batch(one, chunks)


def _one_ahead(
    items: Iterable[tuple[int, int, Callable[[], FloatArray]]],
) -> Iterator[tuple[int, int, Callable[[], FloatArray]]]:
    """Yield items after the next one was computed, so that downloads overlap."""
    previous = None
    for item in items:
        if previous is not None:
            yield previous
        previous = item
    if previous is not None:
        yield previous
