"""Items that sweeps could not delete: when each is retried, and what operators see of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.retention.tables import SweepFailure

FIRST_PAUSE = timedelta(minutes=1)  # before an item is retried; doubles with each failure
LONGEST_PAUSE = timedelta(hours=6)
FORGOTTEN_AFTER = timedelta(days=2)  # without a retry: the item was deleted in another way
LONGEST_ERROR = 1000  # characters


def waiting(session: Session, sweep: str, now: datetime) -> set[str]:
    """Return the items of a sweep that are not to be retried yet."""
    query = select(SweepFailure.item).where(
        SweepFailure.sweep == sweep, SweepFailure.next_try_at > now
    )
    return set(session.scalars(query))


def note(
    session: Session,
    sweep: str,
    deleted: Sequence[str],
    failed: Mapping[str, str],
    now: datetime,
) -> None:
    """Record the outcome of a batch.

    Args:
        failed: The errors, by item.
    """
    session.execute(
        delete(SweepFailure).where(SweepFailure.sweep == sweep, SweepFailure.item.in_(deleted))
    )
    for item, error in failed.items():
        row = session.get(SweepFailure, (sweep, item))
        if row is None:
            row = SweepFailure(sweep=sweep, item=item, tries=0)
            session.add(row)
        row.tries += 1
        row.error, row.failed_at = error[:LONGEST_ERROR], now
        pause = FIRST_PAUSE * 2 ** min(row.tries - 1, 20)
        row.next_try_at = now + min(pause, LONGEST_PAUSE)


def forget(session: Session, now: datetime, limit: int) -> int:
    """Delete failures of items that no sweep has retried for long; return how many."""
    old = SweepFailure.failed_at < now - FORGOTTEN_AFTER
    keys = select(SweepFailure.sweep, SweepFailure.item).where(old).limit(limit)
    found = [(sweep, item) for sweep, item in session.execute(keys)]
    for sweep, item in found:
        session.execute(
            delete(SweepFailure).where(SweepFailure.sweep == sweep, SweepFailure.item == item, old)
        )
    return len(found)


def newest(session: Session, limit: int) -> Sequence[SweepFailure]:
    """Return the items that could not be deleted, the newest failure first."""
    query = select(SweepFailure).order_by(SweepFailure.failed_at.desc()).limit(limit)
    return session.scalars(query).all()


def counts(session: Session) -> dict[str, int]:
    """Return how many items each sweep could not delete."""
    query = select(SweepFailure.sweep, func.count().label("number")).group_by(SweepFailure.sweep)
    return {row.sweep: row.number for row in session.execute(query)}
