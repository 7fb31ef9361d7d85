"""A fair lock: waiting threads get it in the order in which they asked."""

from __future__ import annotations

from collections import deque
from threading import Lock
from types import TracebackType

from sqlalchemy import exc


class TooLong(exc.TimeoutError):
    """The turn did not come in time. Handled like any unavailable database."""


class Turns:
    """A fair lock. ``with turns:`` waits for its turn. Not reentrant.

    Python's own lock guarantees no order, and SQLite lets waiting writers sleep and retry: with
    sixteen of them, one in a hundred waits over a second.

    Args:
        patience: Seconds to wait at most.
    """

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._guard = Lock()
        self._taken = False
        self._waiting: deque[Lock] = deque()

    def __enter__(self) -> None:
        with self._guard:
            if not self._taken:
                self._taken = True
                return
            mine = Lock()
            mine.acquire()  # released by whoever had the turn before
            self._waiting.append(mine)
        came = False
        try:
            came = mine.acquire(timeout=self._patience)
        finally:
            if not came:  # timed out, or interrupted
                self._leave(mine)
        if not came:
            raise TooLong(f"no turn within {self._patience:g} s")

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        with self._guard:
            self._pass_on()

    def _leave(self, mine: Lock) -> None:
        with self._guard:
            if mine in self._waiting:
                self._waiting.remove(mine)
            else:
                self._pass_on()  # it came at the last moment

    def _pass_on(self) -> None:
        if self._waiting:
            self._waiting.popleft().release()
        else:
            self._taken = False
