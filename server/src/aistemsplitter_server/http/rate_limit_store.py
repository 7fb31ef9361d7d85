"""Rate limits in the database, so that all processes count together.

The algorithm is GCRA: of each limit one moment is kept, at which its allowance is whole again. A
request moves it on by its share of a minute, and is refused if that led too far ahead. So a limit
is one number, which one statement tests and changes.

On SQLite the limits are in a file of their own, because the database's commits wait for the disk
and limits need not outlive a crash. On Postgres the table is unlogged for the same reason. (Of the
libraries, ``limits`` has no SQL storage, and with one of ours would make two journeys for what
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
PATIENCE = 0.25  # seconds that a process waits for another on SQLite
SWEPT_EVERY = 100  # requests
SWEPT_AT_ONCE = 500  # limits that are looked at then

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
    """What a limit was asked for, and how it stands.

    Attributes:
        granted: whether it was there.
        remaining: requests that are left.
        reset: seconds until the allowance is whole again.
        retry_after: seconds until as much will be there; 0 if granted.
    """

    granted: bool
    remaining: int
    reset: float
    retry_after: float


class RateLimitStore:
    """The limits of all processes of a service."""

    def __init__(self, database: Database, data: Path) -> None:
        self._engine = _sqlite(data / FILE) if database.sqlite else _postgres(database)
        self._lock = threading.Lock()
        self._asked = 0
        self._swept_to = ""

    def take(self, who: str, per_minute: int, *, burst: int | None = None, cost: int = 1) -> Taken:
        """Take from an allowance.

        Args:
            who: what the limit is for.
            per_minute: how fast it comes back.
            burst: how much of it there is at most; as much as comes back in a minute if None.
            cost: how much is taken.
        """
        share = 60 / per_minute  # seconds in which one comes back
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
        """Forget allowances that are whole, a few names at a time, going round."""
        found = connection.scalars(_NEXT, {"after": self._swept_to, "limit": SWEPT_AT_ONCE}).all()
        if found:
            asked = {"after": self._swept_to, "last": found[-1], "now": now}
            connection.execute(_FORGET, asked)
        self._swept_to = found[-1] if len(found) == SWEPT_AT_ONCE else ""


def _postgres(database: Database) -> Engine:
    return database.engine.execution_options(isolation_level="AUTOCOMMIT")


def _sqlite(path: Path) -> Engine:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": PATIENCE, "isolation_level": None},
        hide_parameters=True,
    ).execution_options(isolation_level="AUTOCOMMIT")
    event.listen(engine, "connect", _prepare)
    return engine


def _prepare(connection: sqlite3.Connection, _record: Any) -> None:
    use_write_ahead_log(connection)
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute(_TABLE)
