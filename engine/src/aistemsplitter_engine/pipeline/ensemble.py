"""The weighted average of several models' estimates, block by block."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.pipeline.separate import Estimates


@dataclass(frozen=True, slots=True)
class Averaged:
    """Samples from ``start`` on: the stems (s, 2, n), and the mixture (2, n) they were made of."""

    start: int
    stems: FloatArray
    mixture: FloatArray

    @property
    def stop(self) -> int:
        """The end of the samples."""
        return self.start + len(self.stems[0, 0])


class _Stream:
    """The estimates of one model that were not averaged yet."""

    def __init__(
        self,
        estimates: Iterator[Estimates],
        rows: Sequence[int],
        begin: int,
        *,
        keeps_mixture: bool,
    ) -> None:
        self._estimates = estimates
        self._rows = list(rows)
        self._keeps_mixture = keeps_mixture
        self._blocks: deque[FloatArray] = deque()
        self.stop = begin

    def advance(self) -> bool:
        """Receive the next estimates; return False at the end."""
        block = next(self._estimates, None)
        if block is None:
            return False
        samples = block.sources[self._rows]
        if self._keeps_mixture:
            samples = np.concatenate([samples, block.mixture[None]])
        self._blocks.append(samples)
        self.stop = block.start + samples.shape[2]
        return True

    def take(self, count: int) -> FloatArray:
        """Return the first ``count`` samples, which have arrived, and forget them."""
        pieces = []
        while count:
            block = self._blocks.popleft()
            pieces.append(block[:, :, :count])
            if block.shape[2] > count:
                self._blocks.appendleft(block[:, :, count:])
            count -= pieces[-1].shape[2]
        return np.concatenate(pieces, axis=2)


def averaged(
    members: Sequence[tuple[Generator[Estimates], Sequence[int]]],
    weights: Sequence[float],
    begin: int,
) -> Generator[Averaged]:
    """Yield the weighted average of the models' estimates, which all start at sample ``begin``.

    A member is a model's estimates, and the rows of their sources to average. The model that is
    furthest behind advances, so each keeps the samples of a few windows only.
    """
    with ExitStack() as stack:
        for estimates, _ in members:
            stack.enter_context(closing(estimates))
        streams = [
            _Stream(estimates, rows, begin, keeps_mixture=n == 0)
            for n, (estimates, rows) in enumerate(members)
        ]
        start = begin
        while min(streams, key=lambda one: one.stop).advance():
            stop = min(one.stop for one in streams)
            if stop == start:
                continue
            first, *others = (one.take(stop - start) for one in streams)
            stems = first[:-1] * np.float32(weights[0])
            for samples, weight in zip(others, weights[1:], strict=True):
                stems += samples * np.float32(weight)
            yield Averaged(start, stems, first[-1])
            start = stop
