"""Queries on the models that workers announce.

A worker announces its models in its row, and remembers them in a table of their own, where they
outlive it: for a short time while other workers run, such as during its restart, and for as long
as no worker runs at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import Connection, delete, or_, select, update
from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import add_if_missing, clock
from aistemsplitter_server.models.catalogue import MODELS, TINY
from aistemsplitter_server.models.tables import InstalledModel
from aistemsplitter_server.workers import queries as workers
from aistemsplitter_server.workers.tables import DEAD_AFTER, Worker

GRACE = timedelta(minutes=2)  # for which a model can be asked for after its last worker has ended

_REMEMBERED = InstalledModel.__table__.c
_ALIVE = Worker.__table__.c.seen_at


def installed(session: Session) -> frozenset[str]:
    """Return the names of the models that can be asked for, with the one of the engine."""
    now = clock(session)
    alive = select(Worker.id).where(now - DEAD_AFTER <= _ALIVE)
    query = select(_REMEMBERED.name).where(
        or_(
            _REMEMBERED.seen_at >= now - GRACE,
            ~alive.exists(),
            # Those of a previous version announce nothing and do not renew what is remembered.
            alive.where(Worker.models.is_(None)).exists(),
        )
    )
    return frozenset(session.scalars(query)) | {TINY.name}


def runnable(session: Session | Connection) -> frozenset[str] | None:
    """Return the names of the models that the workers alive can run; None if none is alive."""
    announced = workers.models(session)
    if not announced:
        return None
    found = frozenset(name for names in announced if names is not None for name in names)
    if None in announced:
        remembered = session.execute(select(_REMEMBERED.name))
        found |= {TINY.name, *(name for (name,) in remembered)}
    return found


def lacking(session: Session | Connection) -> frozenset[str]:
    """Return the names of the models that no worker alive can run."""
    return frozenset(model.name for model in MODELS) - (runnable(session) or frozenset())


def remember(session: Session, names: Iterable[str]) -> None:
    """Record that a worker has these models now."""
    now = clock(session)
    for name in sorted(names):  # in one order, so that workers do not wait for each other
        if not add_if_missing(session, InstalledModel, name=name, seen_at=now):
            change = update(InstalledModel).where(InstalledModel.name == name)
            session.execute(change.values(seen_at=now))


def forget(session: Session, names: Iterable[str]) -> None:
    """Record that a worker has lost these models, unless another one has them."""
    lost = set(names) - (runnable(session) or frozenset())
    session.execute(delete(InstalledModel).where(InstalledModel.name.in_(lost)))
