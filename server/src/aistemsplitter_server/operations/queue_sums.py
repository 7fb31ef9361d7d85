"""Sums over the queued splits. Those of a long queue are computed in the background."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import AWAY, Database
from aistemsplitter_server.splits import speeds
from aistemsplitter_server.splits.queueing import BATCH
from aistemsplitter_server.splits.tables import IS_QUEUED, Split

logger = logging.getLogger(__name__)

LONG = 10_000  # queued splits that are summed up for each caller; 100,000 take 50 to 100 ms
RENEWED_AFTER = 2.0  # seconds
SHARE = 20  # renewing takes at most one part in so many of the time
USABLE_FOR = 60.0  # seconds, while renewing takes place or fails


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums over the queued splits.

    Attributes:
        waiting: Numbers of interactive splits, batch splits and songs to fetch, by account.
        work: Seconds of audio to separate, by model.
        splits: Numbers of splits, by model.
    """

    waiting: Mapping[str, tuple[int, int, int]]
    work: Mapping[str, float]
    splits: Mapping[str, int]


# Uploads are measured before they are queued, so only songs to fetch have no length.
_TO_FETCH = Split.duration_seconds == 0
_KINDS = (
    (~_TO_FETCH) & (Split.turn < BATCH),
    (~_TO_FETCH) & (Split.turn >= BATCH),
    _TO_FETCH,
)
# Each is read from a partial index of its own, so the cost does not grow with ended splits.
_WAITING = (
    select(Split.account_id, *(func.sum(case((kind, 1), else_=0)) for kind in _KINDS))
    .where(IS_QUEUED)
    .group_by(Split.account_id)
)
_WORK = (
    select(Split.served_by, func.sum(speeds.WORK), func.count())
    .where(IS_QUEUED)
    .group_by(Split.served_by)
)
_ONE_BEYOND = select(Split.turn).where(IS_QUEUED).order_by(Split.turn).offset(LONG).limit(1)


class QueueSums:
    """The sums of one process, for all its threads.

    A short queue is summed up for each caller. Of a long queue, callers get sums that are some
    seconds old: a caller that finds them too old starts a thread that renews them.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()  # guards all below
        self._sums: Sums | None = None
        self._summed_at = 0.0  # by the monotonic clock
        self._took = 0.0  # seconds
        self._renewing = False

    def current(self, session: Session) -> Sums:
        """Return the sums."""
        if session.scalar(_ONE_BEYOND) is None:
            return _sums(session)
        with self._lock:
            age = time.monotonic() - self._summed_at
            if self._sums is None or age >= USABLE_FOR:
                self._keep(*_timed(session))
            elif age >= max(RENEWED_AFTER, SHARE * self._took) and not self._renewing:
                self._renewing = True
                threading.Thread(target=self._renew, name="queue sums", daemon=True).start()
            assert self._sums is not None
            return self._sums

    def _renew(self) -> None:
        try:
            with self._database.read() as session:
                found = _timed(session)
            with self._lock:
                self._keep(*found)
        except AWAY as error:
            logger.warning("the queue could not be summed up: %s", type(error).__name__)
        finally:
            with self._lock:
                self._renewing = False

    def _keep(self, sums: Sums, took: float) -> None:
        self._sums, self._took, self._summed_at = sums, took, time.monotonic()


def _timed(session: Session) -> tuple[Sums, float]:
    """Return the sums, and the seconds that this took."""
    began = time.monotonic()
    sums = _sums(session)
    return sums, time.monotonic() - began


def _sums(session: Session) -> Sums:
    waiting = {
        account_id: (interactive, batch, to_fetch)
        for account_id, interactive, batch, to_fetch in session.execute(_WAITING)
    }
    by_model = session.execute(_WORK).all()
    return Sums(
        waiting,
        work={model: seconds for model, seconds, _ in by_model},
        splits={model: number for model, _, number in by_model},
    )
