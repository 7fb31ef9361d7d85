"""The second pass: separate windows of the mixture, and yield stems once they are finalized."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
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
    few segments, whatever the track's length. The sources are those of all parts, in their order.
    ``on_progress`` is called with the fraction of segments that are done: before the first one, and
    after each batch, once its finalized samples were consumed. Its exceptions end the separation.
    """
    passes = [
        [_Pass(part, loudness.frames, overlap, offset, begin) for offset in offsets_of_part]
        for part, offsets_of_part in zip(parts, offsets, strict=True)
    ]
    flat = [one for group in passes for one in group]
    total = sum(len(one.grid) for one in flat)
    mixture = Mixture(iter(blocks))
    done = sum(one.next for one in flat)
    mixture.forget(min([begin, *(one.needs for one in flat)]))
    workers = max(part.runtime.concurrency for part in parts)
    with ThreadPoolExecutor(workers, "separate") as pool:
        waiting: deque[tuple[_Batch, Future[FloatArray]]] = deque()
        rounds = _rounds(flat, batch_size)
        on_progress(done / total)
        while True:
            while len(waiting) <= workers and (batch := next(rounds, None)):
                waiting.append((batch, _submit(pool, batch, mixture, loudness)))
            if not waiting:
                break
            batch, future = waiting.popleft()
            for (one, chunk), estimate in zip(batch, future.result(), strict=True):
                one.add(chunk, estimate)
            done += len(batch)
            stop = min(one.finalized for one in flat)
            if stop > begin:
                sources = np.concatenate([_average(group, stop) for group in passes])
                yield Estimates(begin, mixture.read(begin, stop), loudness.restore(sources))
                begin = stop
            mixture.forget(min([begin, *(one.needs for one in flat)]))
            on_progress(done / total)


class _Pass:
    """One pass of a model over the track, with one offset."""

    def __init__(self, part: Part, frames: int, overlap: float, offset: int, begin: int) -> None:
        self.part = part
        self.grid = part.runtime.network.grid(frames, overlap, offset)
        self.overlap_add = OverlapAdd(self.grid, len(part.sources), begin)
        self._done = self.grid.first_reaching(begin)
        self.next = self._done  # the first chunk that was not submitted

    @property
    def finalized(self) -> int:
        """The end of the samples that are finalized."""
        return self.grid.finalized(self._done)

    @property
    def needs(self) -> int:
        """The beginning of the next window: the first sample that is still needed."""
        if self.next == len(self.grid):
            return self.grid.frames
        return self.grid.chunk(self.next).window

    def add(self, chunk: Chunk, estimate: FloatArray) -> None:
        """Add the estimate of the next chunk."""
        self.overlap_add.add(chunk, estimate)
        self._done += 1


_Batch = list[tuple[_Pass, Chunk]]  # all of one pass


def _average(group: Sequence[_Pass], stop: int) -> FloatArray:
    total = group[0].overlap_add.take(stop)
    for one in group[1:]:
        total += one.overlap_add.take(stop)
    return total / np.float32(len(group)) if len(group) > 1 else total


def _rounds(passes: Sequence[_Pass], batch_size: int) -> Iterator[_Batch]:
    """Yield all chunks in batches, the passes in turn, so that all advance together."""
    while any(one.next < len(one.grid) for one in passes):
        for one in passes:
            stop = min(one.next + batch_size, len(one.grid))
            batch = [(one, one.grid.chunk(index)) for index in range(one.next, stop)]
            one.next = stop
            if batch:
                yield batch


def _submit(
    pool: Executor, batch: _Batch, mixture: Mixture, loudness: Loudness
) -> Future[FloatArray]:
    windows = [one.grid.window(chunk, mixture.read, loudness) for one, chunk in batch]
    part = batch[0][0].part
    return pool.submit(part.runtime, np.stack(windows), part.sources)
