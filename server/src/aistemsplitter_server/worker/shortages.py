"""Shortages: this machine lacks disk or memory, which is no song's fault.

A worker with a shortage takes no songs for a while. The song that met it goes back to the queue,
where another worker can take it, and its attempt does not count. Heartbeats report the shortage, so
``/readyz``, the metrics and the operator's page show it.
"""

from __future__ import annotations

import errno
import logging
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from aistemsplitter_server.kit.database import is_full
from aistemsplitter_server.worker.separating import DISK_ERRORS
from aistemsplitter_server.workers.tables import DISK, MEMORY

logger = logging.getLogger(__name__)

PAUSES = (5.0, 15.0, 60.0, 180.0, 300.0)  # seconds after a shortage; the last one repeats
FORGOTTEN = 600.0  # seconds after a pause until a shortage that did not recur is forgotten
NO_SPACE = 16 << 20  # bytes: with less, any failure is blamed on the disk
ROOM = 256 << 20  # bytes that have to be free before a lack of disk counts as over
MEMORY_ERRORS = (errno.ENOMEM, errno.EMFILE, errno.ENFILE)


class Shortage(Exception):
    """A lack of something on this machine; the text is for the operator.

    Attributes:
        kind: ``disk`` or ``memory``.
        is_over: Returns whether there is enough again.
    """

    def __init__(self, kind: str, reason: str, is_over: Callable[[], bool] = lambda: False) -> None:
        self.kind = kind
        self.is_over = is_over
        super().__init__(reason)


def of_disk(folder: Path, reason: str) -> Shortage:
    """Return a lack of disk in a folder."""
    if _free(folder) >= ROOM:  # such as a quota, whose room is not known
        return Shortage(DISK, reason)
    return Shortage(DISK, reason, lambda: _free(folder) >= ROOM)


def of_memory(reason: str) -> Shortage:
    """Return a lack of memory."""
    return Shortage(MEMORY, reason)


def find(error: BaseException, data: Path) -> Shortage | None:
    """Return the shortage that an error is due to, if it is.

    Args:
        data: The data folder.
    """
    if isinstance(error, Shortage):
        return error
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return of_disk(data, f"{error.filename or data}: {error.strerror}")
    if isinstance(error, DBAPIError) and is_full(error.orig):
        return of_disk(data, f"the database has no room: {error.orig}")
    if isinstance(error, MemoryError) or (
        isinstance(error, OSError) and error.errno in MEMORY_ERRORS
    ):
        return of_memory(str(error) or "out of memory")
    if _free(data) < NO_SPACE:
        return of_disk(data, f"{data}: the disk is full")
    return None


@dataclass(slots=True)
class _Current:
    shortage: Shortage
    until: float


class Shortages:
    """The shortage of this process, shared by threads.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._current: _Current | None = None
        self._repeated = 0

    def begin(self, shortage: Shortage) -> None:
        """Pause because of a shortage, longer each time that it recurs."""
        with self._lock:
            now = self._clock()
            if self._current is None or now >= self._current.until:
                self._repeated += 1  # songs that run at the same time count once
            pause = PAUSES[min(self._repeated, len(PAUSES)) - 1]
            self._current = _Current(shortage, now + pause)
        logger.error("pausing for lack of %s: %s", shortage.kind, shortage)

    def end(self) -> None:
        """Note that a song has succeeded."""
        with self._lock:
            self._current, self._repeated = None, 0

    def current(self) -> Shortage | None:
        """Return the shortage to report, also while it is tried again."""
        with self._lock:
            if self._current is None:
                return None
            now = self._clock()
            if now >= self._current.until + FORGOTTEN:
                self._current, self._repeated = None, 0
                return None
            # One that recurs although it seemed to be over lasts as long as its pause.
            waited = self._repeated == 1 or now >= self._current.until
            if waited and self._current.shortage.is_over():
                self._current = None
                return None
            return self._current.shortage

    def is_paused(self) -> bool:
        """Return whether to take no songs now."""
        if self.current() is None:
            return False
        with self._lock:
            return self._current is not None and self._clock() < self._current.until

    def wait(self, stopping: threading.Event, seconds: float) -> bool:
        """Wait for the end of a pause; return False if it has not ended after so many seconds."""
        ends = self._clock() + seconds
        while self.is_paused():
            if self._clock() >= ends or stopping.wait(1.0):
                return False
        return True


def _free(folder: Path) -> int:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return 0
