"""A sweep: it deletes in batches, and one item that fails never stops the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeAlias

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.retention import failures
from aistemsplitter_server.retention.rows import Rows
from aistemsplitter_server.worker.context import WorkerContext

logger = logging.getLogger(__name__)

BATCH = 100  # rows or items that are found at once; the most in one transaction
FIRST = 10  # rows in the first transaction of a run
TRANSACTION = 0.02  # seconds that a transaction should take: SQLite has one writer at a time
LONGEST = 20.0  # seconds of one run; then the next sweep runs
MANY = 20  # failed items in one run, after which the storage is assumed to be down


@dataclass(slots=True)
class Run:
    """One run of a sweep, and its results so far.

    Attributes:
        failed: Items that could not be deleted.
        unfinished: Whether it ran out of time.
        size: Rows to delete in the next transaction, fitted to the durations of the previous ones.
    """

    context: WorkerContext
    name: str
    deleted: int = 0
    failed: int = 0
    unfinished: bool = False
    size: int = FIRST
    ends: float = field(default_factory=lambda: time.monotonic() + LONGEST)

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Run a transaction on ``size`` rows, and fit ``size`` to how long it took."""
        with self.context.database.write() as session:
            began = time.perf_counter()
            yield session
        took = time.perf_counter() - began
        self.size = max(1, min(BATCH, 2 * self.size, round(self.size * TRANSACTION / took)))

    def goes_on(self) -> bool:
        """Return whether there is time for another batch."""
        self.unfinished = time.monotonic() >= self.ends or self.context.stopping.is_set()
        return not self.unfinished and self.failed < MANY


Work: TypeAlias = Callable[[Run], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """A kind of sweep.

    Attributes:
        every: Seconds between runs.
        local: It sweeps a disk that may be this machine's own, so every worker runs it. The leader
            runs the others.
    """

    name: str
    every: float
    work: Work
    local: bool = False


def rows(delete: Callable[[Session, datetime, int], int]) -> Work:
    """Return the work of finding and deleting rows in short transactions.

    Args:
        delete: Deletes at most so many expired rows, and returns how many it found.
    """

    def work(run: Run) -> None:
        while run.goes_on():
            limit = run.size
            with run.transaction() as session:
                found = delete(session, times.now(), limit)
            run.deleted += found
            if found < limit:
                return

    return work


def expired_rows(of: Rows) -> Work:
    """Return the work of deleting a table's expired rows.

    Finding them takes a second where many rows are old but not expired, so no transaction that
    writes does it: SQLite has one writer at a time.
    """

    def work(run: Run) -> None:
        settings, database = run.context.settings, run.context.database
        while run.goes_on():
            now = times.now()
            with database.read() as session:
                keys = of.find(settings, session, now, BATCH)
            found = iter(keys)
            while run.goes_on() and (some := [*islice(found, run.size)]):
                with run.transaction() as session:
                    run.deleted += of.delete(settings, session, now, some)
            if len(keys) < BATCH:
                return

    return work


def items(
    find: Callable[[WorkerContext], Iterator[str]],
    delete: Callable[[WorkerContext, str], None],
    done: Callable[[Session, Sequence[str], datetime], None] | None = None,
) -> Work:
    """Return the work of deleting items one by one, and noting each batch in the database.

    An item that fails is skipped until its next try. After a crash between deleting and noting, the
    item is deleted again.

    Args:
        find: Yields expired items.
        delete: Deletes an item, which may be deleted already; raises ``OSError`` if it cannot now.
        done: Notes in the items' own rows that a batch is deleted.
    """

    def work(run: Run) -> None:
        with run.context.database.read() as session:
            waiting = failures.waiting(session, run.name, times.now())
        found = (item for item in find(run.context) if item not in waiting)
        while run.goes_on():
            batch = [*islice(found, BATCH)]
            failed = _deleted(run, batch, delete)
            deleted = [item for item in batch if item not in failed]
            if batch:
                with run.context.database.write() as session:
                    if done is not None:
                        done(session, deleted, times.now())
                    failures.note(session, run.name, deleted, failed, times.now())
            run.deleted += len(deleted)
            run.failed += len(failed)
            if len(batch) < BATCH:
                return

    return work


def _deleted(
    run: Run, batch: Sequence[str], delete: Callable[[WorkerContext, str], None]
) -> dict[str, str]:
    """Delete each item; return the errors of those that failed."""
    failed = {}
    for item in batch:
        try:
            delete(run.context, item)
        except Exception as error:
            failed[item] = f"{type(error).__name__}: {error}"
            logger.error("sweep %s cannot delete %s: %s", run.name, item, error)
    return failed
