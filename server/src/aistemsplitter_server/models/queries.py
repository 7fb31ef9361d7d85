"""Queries on installed models."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import add_if_missing
from aistemsplitter_server.models.catalogue import TINY
from aistemsplitter_server.models.tables import InstalledModel

_NAMES = select(InstalledModel.__table__.c.name)  # run with every new split


def installed(session: Session) -> frozenset[str]:
    """Return the names of the models that a worker has, with the one that ships with the engine."""
    return frozenset(session.scalars(_NAMES)) | {TINY.name}


def report(session: Session, names: Iterable[str], *, alone: bool) -> None:
    """Record which models a worker has found.

    Args:
        alone: No other worker is alive, so models that this one lacks are not installed.
    """
    found = set(names)
    if alone:
        session.execute(delete(InstalledModel).where(InstalledModel.name.not_in(found)))
    for name in sorted(found):
        add_if_missing(session, InstalledModel, name=name, seen_at=times.now())
