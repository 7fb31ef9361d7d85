"""The state of webhooks, the disk, the database and the versions."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.webhooks.endpoints import DISABLED_BY_USER
from aistemsplitter_server.webhooks.service import PENDING
from aistemsplitter_server.webhooks.tables import IS_FAILED, Delivery, Endpoint, Receiver

DAY = timedelta(days=1)
SHOWN = 20  # disabled receivers
LITTLE_SPACE = 10 << 30  # bytes; a song of an hour takes 5 GB while it is split


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Pending deliveries, deliveries given up in the last day, and disabled receivers."""

    pending: int
    failed: int
    disabled: int
    receivers: Sequence[tuple[Receiver | Endpoint, Account]]  # the newest of the disabled ones


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of the data folder, in bytes."""

    free: int
    total: int

    @property
    def is_low(self) -> bool:
        """Whether a long song may not fit."""
        return self.free < LITTLE_SPACE


def webhooks(session: Session, now: datetime) -> Webhooks:
    """Return the state of deliveries and receivers."""
    pending = select(func.count()).where(Delivery.state == PENDING)
    failed = select(func.count()).where(IS_FAILED, Delivery.finished_at >= now - DAY)
    disabled = dict(disabled_receivers(session))
    newest = [*_newest_disabled(session, Receiver), *_newest_disabled(session, Endpoint)]
    newest.sort(key=lambda found: found[0].url)
    newest.sort(key=lambda found: found[0].disabled_at or now, reverse=True)
    return Webhooks(
        session.scalars(pending).one(),
        session.scalars(failed).one(),
        sum(disabled.values()),
        newest[:SHOWN],
    )


def disabled_receivers(session: Session | Connection) -> Iterable[tuple[str, int]]:
    """Yield each kind of receiver, ``host`` or ``endpoint``, and how many are disabled."""
    for kind, table in (("host", Receiver), ("endpoint", Endpoint)):
        yield kind, session.scalar(select(func.count()).where(_is_disabled(table))) or 0


def _newest_disabled(
    session: Session, table: type[Receiver] | type[Endpoint]
) -> Sequence[tuple[Receiver | Endpoint, Account]]:
    query = select(table, Account).join(Account, Account.id == table.account_id)
    query = query.where(_is_disabled(table)).order_by(table.disabled_at.desc(), table.url)
    rows: Iterable[Any] = session.execute(query.limit(SHOWN))
    return [(receiver, account) for receiver, account in rows]


def _is_disabled(table: type[Receiver] | type[Endpoint]) -> ColumnElement[bool]:
    """Select what was disabled because it failed. What its owner disabled is no fault."""
    if table is Receiver:
        return Receiver.disabled_at.is_not(None)
    return Endpoint.disabled_reason != DISABLED_BY_USER


def disk(data: Path) -> Disk:
    """Return the state of the data folder's disk.

    Raises:
        OSError: The folder does not exist.
    """
    usage = shutil.disk_usage(data)
    return Disk(usage.free, usage.total)


def versions(database: Database, session: Session) -> Sequence[tuple[str, str]]:
    """Return name and version of each part that runs here."""
    kind, query = (
        ("SQLite", func.sqlite_version())
        if database.sqlite
        else ("PostgreSQL", func.current_setting("server_version"))
    )
    return [
        ("aistemsplitter-server", metadata.version("aistemsplitter-server")),
        (kind, str(session.scalars(select(query)).one())),
        ("Python", platform.python_version()),
    ]
