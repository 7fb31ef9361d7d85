"""The queries on installed models."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import add_if_missing
from aistemsplitter_server.models.catalogue import TINY
from aistemsplitter_server.models.tables import InstalledModel

_NAMES = select(InstalledModel.__table__.c.name)  # asked with every new split


def installed(session: Session) -> frozenset[str]:
    """The names of the models that a worker has; the one that ships with the engine always."""
    return frozenset(session.scalars(_NAMES)) | {TINY.name}


def report(session: Session, names: Iterable[str], *, alone: bool) -> None:
    """Note what a worker has found.

    Args:
        alone: no other worker lives, so what this one does not have nobody has.
    """
    found = set(names)
    if alone:
        session.execute(delete(InstalledModel).where(InstalledModel.name.not_in(found)))
    for name in sorted(found):
        add_if_missing(session, InstalledModel, name=name, seen_at=times.now())
