"""A sweep: what it deletes, a batch at a time, so that one item never stops the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice
from typing import TypeAlias

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.retention import failures
from aistemsplitter_server.worker.context import WorkerContext

logger = logging.getLogger(__name__)

BATCH = 100  # rows or items in one transaction
LONGEST = 20.0  # seconds of one run; then it is the next sweep's turn
MANY = 20  # items that fail in one run: the storage is away, so the others can wait


@dataclass(slots=True)
class Run:
    """One run of a sweep, and what has come of it so far.

    Attributes:
        failed: items that could not be deleted.
        unfinished: its time was over before its work was done.
    """

    context: WorkerContext
    name: str
    deleted: int = 0
    failed: int = 0
    unfinished: bool = False
    ends: float = field(default_factory=lambda: time.monotonic() + LONGEST)

    def goes_on(self) -> bool:
        """Whether there is time for another batch."""
        self.unfinished = time.monotonic() >= self.ends or self.context.stopping.is_set()
        return not self.unfinished and self.failed < MANY


Work: TypeAlias = Callable[[Run], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """One kind of sweep.

    Attributes:
        every: seconds between runs.
        local: sweeps a disk that may be this machine's own, so every worker does it; the others
            are the leader's.
    """

    name: str
    every: float
    work: Work
    local: bool = False


def rows(delete: Callable[[Session, datetime, int], int]) -> Work:
    """Work that deletes rows, a batch in each transaction.

    Args:
        delete: deletes at most so many rows whose time is over, and returns how many it found.
    """

    def work(run: Run) -> None:
        while run.goes_on():
            with run.context.database.write() as session:
                found = delete(session, times.now(), BATCH)
            run.deleted += found
            if found < BATCH:
                return

    return work


def items(
    find: Callable[[WorkerContext], Iterator[str]],
    delete: Callable[[WorkerContext, str], None],
    done: Callable[[Session, Sequence[str], datetime], None] | None = None,
) -> Work:
    """Work that deletes items one by one and notes each batch of them in the database.

    An item that fails is skipped until its next try. A crash between deleting and noting only has
    the item deleted again.

    Args:
        find: yields items whose time is over.
        delete: deletes one, which may be gone already; ``OSError`` if that is not possible now.
        done: notes in the item's own rows that a batch is deleted.
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
