"""The context that the jobs of a worker process share."""

from __future__ import annotations

import errno
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import AWAY, Database
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.interface import Storage, StorageFailed
from aistemsplitter_server.worker.abilities import Abilities
from aistemsplitter_server.worker.shortages import Shortages

logger = logging.getLogger(__name__)

T = TypeVar("T")
DATABASE_TIMEOUT = 300.0  # seconds that a job waits for a database that is down
STORAGE_TIMEOUT = 300.0  # seconds that it waits for a storage that is down or full
PAUSE = 1.0  # seconds between two tries


class Use:
    """Busy time and separated audio of this process so far, in seconds, and its last heartbeat.

    Attributes:
        busy: Time with at least one split in progress. It grows whenever a split ends.
        audio: Audio of the splits that have succeeded.
        last_beat: When the last heartbeat reached the database, by the monotonic clock.
    """

    def __init__(self) -> None:
        self.busy = self.audio = 0.0
        self.last_beat = time.monotonic()
        self._lock = threading.Lock()
        self._running = 0
        self._counted_until = 0.0

    @property
    def running(self) -> int:
        """Splits in progress."""
        return self._running

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count the time of the block as busy, but not twice if several run at the same time."""
        with self._lock:
            if self._running == 0:
                self._counted_until = time.monotonic()
            self._running += 1
        try:
            yield
        finally:
            with self._lock:
                now = time.monotonic()
                self.busy += now - self._counted_until
                self._counted_until = now
                self._running -= 1

    def add_audio(self, seconds: float) -> None:
        """Add the audio of a split that has succeeded."""
        with self._lock:
            self.audio += seconds


@dataclass(slots=True)
class Grace:
    """The time that running songs still have once the worker stops."""

    ends: float = float("-inf")  # by the monotonic clock

    def is_over(self) -> bool:
        """Return whether running songs are to be handed over."""
        return time.monotonic() >= self.ends


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """The context of jobs, shared by threads.

    Attributes:
        stopping: Set when the process is to stop: it begins nothing more.
        grace: The time that running songs have from then on.
        shortages: What this machine lacks.
        abilities: The models that it can run.
    """

    settings: Settings
    database: Database
    secrets: Secrets
    storage: Storage
    outgoing: Outgoing
    worker_id: str
    stopping: threading.Event = field(default_factory=threading.Event)
    grace: Grace = field(default_factory=Grace)
    use: Use = field(default_factory=Use)
    shortages: Shortages = field(default_factory=Shortages)
    abilities: Abilities = field(default_factory=Abilities)

    def write(self, work: Callable[[Session], T]) -> T:
        """Run a unit of work; while the database is down, try again."""
        ends = time.monotonic() + DATABASE_TIMEOUT
        while True:
            try:
                with self.database.write() as session:
                    return work(session)
            except AWAY as error:
                if time.monotonic() > ends:
                    raise
                logger.warning(
                    "the database cannot be used (%s); trying again", type(error).__name__
                )
                time.sleep(PAUSE)

    def put_file(self, key: str, path: Path) -> None:
        """Store a file, as ``Storage`` does; while a bucket cannot be used, try again."""
        ends = time.monotonic() + STORAGE_TIMEOUT
        while True:
            try:
                self.storage.put_file(key, path)
                return
            except StorageFailed as error:
                is_over = time.monotonic() > ends or self.stopping.is_set()
                if is_over or error.errno == errno.EACCES:  # which does not pass by itself
                    raise
                logger.warning("%s; trying again", error)
            self.stopping.wait(PAUSE)
