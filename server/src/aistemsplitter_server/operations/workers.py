"""The workers: which live, how busy they are and how fast."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.worker.tables import DEAD_AFTER, Worker


@dataclass(frozen=True, slots=True)
class Seen:
    """A worker as its last beat told of it; one that ended well is not there any more.

    Attributes:
        busy: share of its life that it spent on splits, 0 to 1; work that it is at counts once
            it is done.
        speed: seconds of audio separated in a second of that; None where it did nothing yet.
    """

    id: str
    host: str
    pid: int
    since: datetime
    last_beat: datetime
    alive: bool
    busy: float
    speed: float | None


def seen(session: Session, now: datetime) -> Sequence[Seen]:
    """All of them, those that live first."""
    rows = session.scalars(select(Worker).order_by(Worker.started_at, Worker.id)).all()
    return sorted((_seen(row, now) for row in rows), key=lambda worker: not worker.alive)


def living(session: Session, now: datetime) -> int:
    """How many live."""
    query = select(func.count()).select_from(Worker).where(Worker.seen_at >= now - DEAD_AFTER)
    return session.scalars(query).one()


def _seen(row: Worker, now: datetime) -> Seen:
    life = (row.seen_at - row.started_at).total_seconds()
    return Seen(
        id=row.id,
        host=row.host,
        pid=row.pid,
        since=row.started_at,
        last_beat=row.seen_at,
        alive=row.seen_at >= now - DEAD_AFTER,
        busy=min(1.0, row.busy_seconds / life) if life > 0 else 0.0,
        speed=row.audio_seconds / row.busy_seconds if row.busy_seconds else None,
    )
