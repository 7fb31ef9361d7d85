"""Batches of the windows that songs in progress want from one network."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from contextlib import nullcontext
from dataclasses import dataclass, field

from aistemsplitter_engine.arrays import Array
from aistemsplitter_engine.runtimes import Runtime


@dataclass(frozen=True, slots=True)
class _Request:
    """A window (2, segment), the sources wanted from it, and their estimate."""

    window: Array
    sources: tuple[int, ...]
    estimate: Future[Array] = field(default_factory=Future)


class Batches:
    """The windows that wait for a network, in the order in which songs have submitted them.

    A batch that a song does not fill, such as its last one, is filled with windows of other songs.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: deque[_Request] = deque()
        self._submitted = self._taken = 0  # requests so far
        self._lock = threading.Lock()
        self._calls = threading.Semaphore(runtime.concurrency)

    def submit(
        self, pool: Executor, windows: Sequence[Array], sources: tuple[int, ...], batch_size: int
    ) -> list[Future[Array]]:
        """Let a thread of the pool compute windows; return a future estimate for each.

        The thread computes all windows that have waited as long, also those of other songs.

        Args:
            batch_size: The largest batch.
        """
        requests = [_Request(window, sources) for window in windows]
        with self._lock:
            self._waiting.extend(requests)
            self._submitted += len(requests)
            end = self._submitted
        pool.submit(self._compute, end, batch_size)
        return [request.estimate for request in requests]

    def _compute(self, end: int, batch_size: int) -> None:
        """Compute batches until the first ``end`` requests are taken.

        While the runtime is busy, windows wait here, where they can be merged into batches, and not
        in the runtime. Batches of one window cannot be merged.
        """
        with self._calls if batch_size > 1 else nullcontext():
            while batch := self._take(end, batch_size):
                self._separate(batch)

    def _take(self, end: int, batch_size: int) -> list[_Request]:
        """Take the next requests, of which all want the same sources; none after ``end``."""
        batch: list[_Request] = []
        with self._lock:
            if self._taken >= end:
                return batch
            while self._waiting and len(batch) < batch_size:
                if batch and self._waiting[0].sources != batch[0].sources:
                    break
                batch.append(self._waiting.popleft())
            self._taken += len(batch)
        return batch

    def _separate(self, batch: Sequence[_Request]) -> None:
        try:
            estimates = self._runtime([request.window for request in batch], batch[0].sources)
        except BaseException as error:  # raised in the threads of the songs
            for request in batch:
                request.estimate.set_exception(error)
            # The error's traceback refers to this frame, and would keep the windows.
            del batch, request
            return
        for request, estimate in zip(batch, estimates, strict=True):
            request.estimate.set_result(estimate)
