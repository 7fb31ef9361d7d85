"""The state of webhooks, the disk, the database and the versions."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib import metadata
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.webhooks.service import PENDING
from aistemsplitter_server.webhooks.tables import IS_FAILED, Delivery, Receiver

DAY = timedelta(days=1)
SHOWN = 20  # disabled receivers
LITTLE_SPACE = 10 << 30  # bytes; a song of an hour takes 5 GB while it is split


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Pending deliveries, deliveries given up in the last day, and disabled receivers."""

    pending: int
    failed: int
    disabled: int
    receivers: Sequence[tuple[Receiver, Account]]  # the newest of the disabled ones


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
    disabled = select(func.count()).where(Receiver.disabled_at.is_not(None))
    receivers = (
        select(Receiver, Account)
        .join(Account, Account.id == Receiver.account_id)
        .where(Receiver.disabled_at.is_not(None))
        .order_by(Receiver.disabled_at.desc(), Receiver.url)
        .limit(SHOWN)
    )
    return Webhooks(
        session.scalars(pending).one(),
        session.scalars(failed).one(),
        session.scalars(disabled).one(),
        [(receiver, account) for receiver, account in session.execute(receivers)],
    )


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
