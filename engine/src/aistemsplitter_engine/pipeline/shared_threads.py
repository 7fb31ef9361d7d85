"""Threads that all songs of the process share, and tasks that occupy one only while they work."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Generic, TypeVar

from aistemsplitter_engine.resources import cpu_count

Result = TypeVar("Result")
_TURN = 16  # steps of a task before others have their turn

_lock = threading.Lock()
_users = 0
_threads: ThreadPoolExecutor | None = None


@contextmanager
def shared_threads() -> Iterator[ThreadPoolExecutor]:
    """Provide one thread for each processor, which end with the last of these contexts."""
    global _threads, _users  # of the process
    with _lock:
        threads = _threads = _threads or ThreadPoolExecutor(cpu_count(), "encode")
        _users += 1
    try:
        yield threads
    finally:
        with _lock:
            _users -= 1
            last = _users == 0
            if last:
                _threads = None
        if last:
            threads.shutdown()


class Task(Generic[Result]):
    """Work in steps on the shared threads.

    Args:
        steps: Does one step for each item. It yields True if the next step can follow at once, and
            False if it has to wait for :meth:`wake`.

    Attributes:
        result: The value that ``steps`` returns, or the error that it raises.
    """

    def __init__(self, threads: ThreadPoolExecutor, steps: Generator[bool, None, Result]) -> None:
        self.result: Future[Result] = Future()
        self._threads, self._steps = threads, steps
        self._lock = threading.Lock()
        self._submitted = self._woken = False
        self.wake()

    def wake(self) -> None:
        """Continue the task if it waits; otherwise, do not let it wait before its next step."""
        with self._lock:
            self._woken = True
            if self._submitted:
                return
            self._submitted = True
        self._threads.submit(self._take_turn)

    def _take_turn(self) -> None:
        with self._lock:
            self._woken = False
        try:
            for _ in range(_TURN):
                ready = next(self._steps)
                if not ready:
                    break
        except StopIteration as end:
            self.result.set_result(end.value)
            return
        except BaseException as error:  # raised where the result is requested
            self.result.set_exception(error)
            return
        with self._lock:
            if not ready and not self._woken:
                self._submitted = False
                return
        self._threads.submit(self._take_turn)
