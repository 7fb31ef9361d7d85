"""The runs of sweeps, recorded for metrics and the operator's page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import add_if_missing
from aistemsplitter_server.retention.tables import Sweep


def note(
    session: Session, name: str, now: datetime, *, deleted: int, failures: int, error: str | None
) -> None:
    """Record a run of a sweep."""
    add_if_missing(session, Sweep, name=name, ran_at=now, deleted=0, failures=0)
    session.execute(
        update(Sweep)
        .where(Sweep.name == name)
        .values(
            ran_at=now,
            deleted=Sweep.deleted + deleted,
            failures=Sweep.failures + failures,
            error=error,
        )
    )


def all_of(session: Session) -> Sequence[Sweep]:
    """Return every sweep that has run, by name."""
    return session.scalars(select(Sweep).order_by(Sweep.name)).all()
