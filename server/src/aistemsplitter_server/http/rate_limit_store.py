"""Rate limits in the database, shared by all processes.

The algorithm is GCRA: for each limit one time is stored, at which its allowance is full again. A
request moves it forward by its share of a minute, and is refused if that is too far ahead. So a
limit is one number, which one statement checks and changes.

On SQLite the limits are in a file of their own, because commits to the database wait for the disk
and limits need not survive a crash. On Postgres the table is unlogged for the same reason. (Of the
libraries, ``limits`` has no SQL storage, and with one of ours would need two round trips for what
this does in one; ``throttled-py`` shares its counts through Redis only.)
"""

from __future__ import annotations

import sqlite3
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Double,
    Engine,
    MetaData,
    String,
    Table,
    bindparam,
    case,
    create_engine,
    delete,
    event,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from aistemsplitter_server.kit.database import Database, use_write_ahead_log

FILE = "rate_limits.db"  # in the data folder
BUSY_TIMEOUT = 0.25  # seconds that a process waits for another on SQLite
SWEPT_EVERY = 100  # requests
SWEPT_PER_BATCH = 500  # limits that are checked in one sweep

# Not among the tables of the domains: on SQLite it is in a file of its own.
_LIMITS = Table(
    "rate_limits",
    MetaData(),
    Column("name", String, primary_key=True),
    Column("whole_at", Double),
    sqlite_with_rowid=False,
)
_CREATE = str(CreateTable(_LIMITS, if_not_exists=True).compile(dialect=sqlite.dialect()))
_ROWS = _LIMITS.c
_now, _cost, _longest = (bindparam(name, type_=Double) for name in ("now", "cost", "longest"))
# Moves the time forward and returns it; returns nothing if that would be too far ahead.
_TAKE = {
    dialect.dialect.name: dialect.insert(_LIMITS)
    .values(name=bindparam("name"), whole_at=_now + _cost)
    .on_conflict_do_update(
        index_elements=[_ROWS.name],
        set_={"whole_at": _cost + case((_ROWS.whole_at > _now, _ROWS.whole_at), else_=_now)},
        where=_ROWS.whole_at + _cost - _now <= _longest,
    )
    .returning(_ROWS.whole_at)
    for dialect in (sqlite, postgresql)
}
_READ = select(_ROWS.whole_at).where(_ROWS.name == bindparam("name"))
_NEXT = (
    select(_ROWS.name)
    .where(_ROWS.name > bindparam("after"))
    .order_by(_ROWS.name)
    .limit(bindparam("limit"))
)
_DELETE = delete(_LIMITS).where(
    _ROWS.name > bindparam("after"), _ROWS.name <= bindparam("last"), _ROWS.whole_at < _now
)


class Taken(NamedTuple):
    """The outcome of taking from a limit.

    Attributes:
        granted: Whether there was enough left.
        remaining: Requests that are left.
        reset: Seconds until the allowance is full again.
        retry_after: Seconds until there is enough; 0 if granted.
    """

    granted: bool
    remaining: int
    reset: float
    retry_after: float


class RateLimitStore:
    """The rate limits that all processes of a service share."""

    def __init__(self, database: Database, data: Path) -> None:
        self._engine = _sqlite(data / FILE) if database.sqlite else _postgres(database)
        self._lock = threading.Lock()
        self._asked = 0
        self._swept_to = ""

    def take(self, who: str, per_minute: int, *, burst: int | None = None, cost: int = 1) -> Taken:
        """Take from an allowance.

        Args:
            who: The limit's name.
            per_minute: How much is restored per minute.
            burst: The allowance when full; None for what is restored in a minute.
            cost: How much to take.
        """
        share = 60 / per_minute  # seconds in which one request is restored
        longest = share * (burst or per_minute)
        name, now = sha256(who.encode()).hexdigest()[:32], time.time()
        asked = {"name": name, "now": now, "cost": share * cost, "longest": longest + 1e-6}
        with self._engine.connect() as connection:
            whole_at = connection.scalar(_TAKE[connection.dialect.name], asked)
            granted = whole_at is not None
            if not granted:
                whole_at = connection.scalar(_READ, {"name": name}) or now
            if self._is_sweep_due():
                self._sweep(connection, now)
        ahead = max(0.0, whole_at - now)
        remaining = int((longest - ahead) / share + 1e-6)
        retry_after = 0.0 if granted else max(0.0, ahead + share * cost - longest)
        return Taken(granted, max(0, remaining), ahead, retry_after)

    def _is_sweep_due(self) -> bool:
        with self._lock:
            self._asked += 1
            return self._asked % SWEPT_EVERY == 0

    def _sweep(self, connection: Connection, now: float) -> None:
        """Delete allowances that are full again, a few names at a time, in turn."""
        found = connection.scalars(_NEXT, {"after": self._swept_to, "limit": SWEPT_PER_BATCH}).all()
        if found:
            asked = {"after": self._swept_to, "last": found[-1], "now": now}
            connection.execute(_DELETE, asked)
        self._swept_to = found[-1] if len(found) == SWEPT_PER_BATCH else ""


def _postgres(database: Database) -> Engine:
    return database.engine.execution_options(isolation_level="AUTOCOMMIT")


def _sqlite(path: Path) -> Engine:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": BUSY_TIMEOUT, "isolation_level": None},
        hide_parameters=True,
    ).execution_options(isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    use_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(_CREATE)
