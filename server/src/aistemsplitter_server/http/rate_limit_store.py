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

from sqlalchemy import Connection, Engine, create_engine, event, text

from aistemsplitter_server.kit.database import Database, use_write_ahead_log

FILE = "rate_limits.db"  # in the data folder
BUSY_TIMEOUT = 0.25  # seconds that a process waits for another on SQLite
SWEPT_EVERY = 100  # requests
SWEPT_PER_BATCH = 500  # limits that are checked in one sweep

_TABLE = (
    "CREATE TABLE IF NOT EXISTS rate_limits (name TEXT PRIMARY KEY, whole_at REAL) WITHOUT ROWID"
)
_TAKE = text(
    "INSERT INTO rate_limits AS known (name, whole_at) VALUES (:name, :now + :cost)"
    " ON CONFLICT (name) DO UPDATE SET whole_at = :cost"
    " + CASE WHEN known.whole_at > :now THEN known.whole_at ELSE :now END"
    " WHERE known.whole_at + :cost - :now <= :longest RETURNING whole_at"
)
_WHOLE_AT = text("SELECT whole_at FROM rate_limits WHERE name = :name")
_NEXT = text("SELECT name FROM rate_limits WHERE name > :after ORDER BY name LIMIT :limit")
_FORGET = text("DELETE FROM rate_limits WHERE name > :after AND name <= :last AND whole_at < :now")


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
            whole_at = connection.scalar(_TAKE, asked)
            granted = whole_at is not None
            if not granted:
                whole_at = connection.scalar(_WHOLE_AT, {"name": name}) or now
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
            connection.execute(_FORGET, asked)
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
    connection.execute(_TABLE)
