"""Queries on workers: which are alive, how busy they are, and why the last one could not start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, delete, func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import heartbeats
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.workers.tables import (
    DEAD_AFTER,
    FAULT_SHOWN_FOR,
    KILLED_AFTER,
    Worker,
    WorkerFault,
)

DELETED_AFTER = timedelta(hours=1)  # without a heartbeat


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """A worker as of its last heartbeat. Workers that stop normally delete their row.

    Attributes:
        since, last_beat: By the database's clock.
        shortage: What it lacks, so that it takes no songs.
        version: Its version of aistemsplitter-server; None for those that did not report one.
        device: What it separates on, such as "cpu"; None for those of a previous version.
        models: The models that it can run; None for those of a previous version.
        clock_skew: Seconds by which its clock is ahead of the database's.
        busy: Share of its lifetime spent on splits, 0 to 1. A split counts once it is done.
        speed: Seconds of audio separated per busy second; None before the first split.
    """

    id: str
    host: str
    pid: int
    since: datetime
    last_beat: datetime
    alive: bool
    busy: float
    speed: float | None
    shortage: str | None
    shortage_reason: str | None
    version: str | None
    clock_skew: float
    device: str | None
    models: Sequence[str] | None


def statuses(session: Session) -> Sequence[WorkerStatus]:
    """Return all workers, those alive first."""
    now = clock(session)
    rows = session.scalars(select(Worker).order_by(Worker.started_at, Worker.id)).all()
    return sorted((_status(row, now) for row in rows), key=lambda worker: not worker.alive)


def alive_ids(session: Session, data: Path | None = None) -> frozenset[str]:
    """Return the ids of the workers that are alive.

    Args:
        data: The data folder. The heartbeat files in it show a dead worker at once, where the
            rows alone take half a minute.
    """
    now = clock(session)
    query = select(Worker.id, Worker.seen_at).where(Worker.seen_at > now - KILLED_AFTER)
    found = session.execute(query).all()
    return frozenset(
        worker_id
        for worker_id, seen_at in found
        if _is_alive(worker_id, silent=seen_at <= now - DEAD_AFTER, data=data)
    )


def count_alive(session: Session | Connection) -> int:
    """Return the number of workers that have sent a heartbeat recently."""
    recent = Worker.seen_at >= clock(session) - DEAD_AFTER
    return session.scalars(select(func.count()).select_from(Worker).where(recent)).one()


def models(session: Session | Connection) -> Sequence[list[str] | None]:
    """Return the models that each worker alive can run; None for one that does not announce any."""
    recent = Worker.seen_at >= clock(session) - DEAD_AFTER
    return [row.models for row in session.execute(select(Worker.models).where(recent))]


def shortages(session: Session | Connection) -> Sequence[str | None]:
    """Return what each worker that is alive lacks, with the reason; None for nothing."""
    recent = Worker.seen_at >= clock(session) - DEAD_AFTER
    found = session.execute(select(Worker.shortage, Worker.shortage_reason).where(recent))
    return [kind and f"{kind}: {reason}" for kind, reason in found]


def recent_fault(connection: Connection, now: datetime) -> str | None:
    """Return why the last worker could not start, if that was recent."""
    recent = WorkerFault.happened_at >= now - FAULT_SHOWN_FOR
    query = select(WorkerFault.reason).where(recent).order_by(WorkerFault.happened_at.desc())
    return connection.scalar(query.limit(1))


def delete_dead(session: Session, now: datetime, limit: int) -> int:
    """Delete the rows of workers that died over an hour ago; return how many."""
    dead = Worker.seen_at < now - DELETED_AFTER
    found = session.scalars(select(Worker.id).where(dead).limit(limit)).all()
    session.execute(delete(Worker).where(Worker.id.in_(found), dead))
    return len(found)


def _is_alive(worker_id: str, *, silent: bool, data: Path | None) -> bool:
    if data is None:
        return not silent
    if heartbeats.has_ended(data, worker_id):
        return False
    return not silent or heartbeats.is_local(data, worker_id)


def _status(row: Worker, now: datetime) -> WorkerStatus:
    lifetime = (row.seen_at - row.started_at).total_seconds()
    return WorkerStatus(
        id=row.id,
        host=row.host,
        pid=row.pid,
        since=row.started_at,
        last_beat=row.seen_at,
        alive=row.seen_at >= now - DEAD_AFTER,
        busy=min(1.0, row.busy_seconds / lifetime) if lifetime > 0 else 0.0,
        shortage=row.shortage,
        shortage_reason=row.shortage_reason,
        version=row.version,
        device=row.device,
        models=row.models,
        clock_skew=row.clock_skew or 0.0,
        speed=row.audio_seconds / row.busy_seconds if row.busy_seconds else None,
    )
