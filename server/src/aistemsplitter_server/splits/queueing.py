"""The order of the queue: accounts take turns, and interactive splits come before batch splits.

It is start-time fair queueing with a song as the unit. A split's turn is one after the last that
its account waits for, but never before the turn that is being served. So one account's thousand
songs delay another's single song by one song. The turn is the job's priority in the queue.
"""

from __future__ import annotations

import threading
import time
from bisect import bisect_left
from datetime import timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import jobs
from aistemsplitter_server.kit.database import Database, clock
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.schemas import Priority
from aistemsplitter_server.splits.tables import QUEUED, Split
from aistemsplitter_server.workers import queries as workers

SPLITS, SEPARATE = "splits", "separate"  # the queue and its job
BATCH = 1 << 30  # turns of batch splits begin here; priorities go up to 2^31
POSITIONS_AGE = 1.0  # seconds
POSITIONS_SHARE = 20  # counting a long queue takes at most one part in so many of the time


def next_turn(session: Session, account_id: str, priority: Priority) -> int:
    """Return the turn of a split that an account adds now."""
    lowest, highest = (BATCH, 2 * BATCH - 1) if priority == "batch" else (1, BATCH - 1)
    served, last = queries.turns(session, account_id, lowest, highest)
    return min(highest, max(served or lowest, lowest if last is None else last + 1))


def enqueue(session: Session, split: Split, *, delay_seconds: float = 0) -> None:
    """Queue the next job of a split. A retry is a new job.

    A song that is yet to be fetched has no job: its ``fetch_at`` is its place in the queue.
    """
    if split.input_url is not None and not split.duration_seconds:
        split.fetch_at = clock(session) + timedelta(seconds=delay_seconds)
        return
    split.fetch_at = None
    jobs.enqueue(
        session,
        SEPARATE,
        split.id,
        queue=SPLITS,
        job_id=_job_id(split, split.attempt),
        delay_seconds=delay_seconds,
        priority=split.turn,
        kind=split.served_by,
    )


def job_ids(split: Split) -> list[str]:
    """Return the ids of all jobs that may have been queued for a split so far."""
    return [_job_id(split, attempt) for attempt in range(split.attempt + 1)]


def split_id(job_id: str) -> str:
    """Return the id of the split that a job separates."""
    return job_id.partition(f"-{SEPARATE}-")[0]


def _job_id(split: Split, attempt: int) -> str:
    return f"{split.id}-{SEPARATE}-{attempt}"


class Positions:
    """Positions in the queue, read at most once a second and shared by all threads.

    The first thousand are exact. Those behind are rounded down to a multiple of a hundred. Splits
    that no worker can run now delay no others, and are not counted.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._turns: list[tuple[int, str]] = []
        self._places: list[int] = []
        self._without_worker: frozenset[str] = frozenset()  # models that splits wait for
        self._until = 0.0

    def of(self, split: Split) -> int | None:
        """Return how many splits begin before this one.

        None if it is not queued, or if no worker can run it now.
        """
        if self.are_due(split):
            self.count()
        if split.status != QUEUED or split.served_by in self._without_worker:
            return None
        before = bisect_left(self._turns, (split.turn, split.id))
        return self._places[before - 1] if before else 0

    def warnings(self, split: Split) -> list[str]:
        """Return what its owner should know about its place in the queue."""
        if self.are_due(split):
            self.count()
        if split.status != QUEUED or split.served_by not in self._without_worker:
            return []
        return [f"No worker has {split.served_by} now; the split waits for one."]

    def are_due(self, split: Split) -> bool:
        """Return whether ``count`` must be called before this split's position is known."""
        return split.status == QUEUED and time.monotonic() >= self._until

    def count(self) -> None:
        """Count the positions, unless another thread just has."""
        with self._lock:
            began = time.monotonic()
            if began >= self._until:
                with self._database.read() as session:
                    # Without any worker the queue stands as it is.
                    lacking = models.lacking(session) if workers.count_alive(session) else ()
                    waiting = queries.waiting_for(session, lacking)
                    places = queries.queue_places(session, waiting)
                self._without_worker = frozenset(waiting)
                self._turns = [(turn, split_id) for turn, split_id, _ in places]
                self._places = [place for _, _, place in places]
                ended = time.monotonic()
                self._until = ended + max(POSITIONS_AGE, POSITIONS_SHARE * (ended - began))
