"""The database: SQLite embedded or Postgres scaled out, chosen by its URL.

Sessions are synchronous, because the queue's library enqueues in a caller's transaction only
through a synchronous connection. Endpoints run in FastAPI's threads.
"""

from __future__ import annotations

import select
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import to_thread
from sqlalchemy import (
    URL,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Index,
    MetaData,
    create_engine,
    event,
    exc,
    func,
    make_url,
    text,
)
from sqlalchemy import select as select_query
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.turns import Turns

if TYPE_CHECKING:
    import psycopg
    from sqlalchemy.pool import ConnectionPoolEntry

BUSY_TIMEOUT = 10.0  # seconds that a writer waits for another
Result = TypeVar("Result")
CACHE = 512  # KiB per connection; the system caches the file too
WRITER_CACHE = 4096  # KiB
# Pages of the log (64 MB) after which the transaction that commits writes them to the database.
# Seldom needed: ``kit/checkpoints.py`` does so every second, so that no transaction waits for it.
CHECKPOINT = 16_000
PASSES = 2  # of a checkpoint beside writers of this process
# that FastAPI runs endpoints in; keeping connections open is cheaper than opening files
THREADS = 40
CONNECTIONS = 16  # to Postgres, at most, per process; further threads wait for one
# Raised when the database cannot be reached, or is busy for too long.
AWAY = (OperationalError, InterfaceError, exc.TimeoutError)
# So that a dead server is noticed, even if no packet reports it.
POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
}
# A client that stalls within a transaction would lock its rows for ever.
IDLE_IN_TRANSACTION = "120s"


class Base(DeclarativeBase):
    """The base of all tables. Constraints have names, so that migrations can refer to them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class UtcTime(TypeDecorator[datetime]):
    """A timezone-aware time in UTC. SQLite does not store the zone, so it is added again."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Accept aware times only, and convert them to UTC."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return aware times only."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """A database: sessions that read, and units of work that write. The repr hides the password."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        self.sqlite = address.get_backend_name() == "sqlite"
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if self.sqlite:
            Path(str(address.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.engine = _sqlite(address, connections=THREADS, cache=CACHE)
            # Writers of this process take turns, so one connection is enough. It keeps its page
            # cache, which only writes by other processes invalidate.
            writer = _sqlite(address, connections=1, cache=WRITER_CACHE)
        else:
            self.engine = writer = create_engine(
                address,
                connect_args=POSTGRES,
                hide_parameters=True,
                pool_size=CONNECTIONS,
                max_overflow=0,
                pool_timeout=BUSY_TIMEOUT,
            )
            event.listen(self.engine, "connect", _prepare_postgres)
            event.listen(self.engine, "checkout", _still_there)
        # A transaction that first reads and then writes fails on SQLite if another has written in
        # between, however long it waits. So writing transactions begin as writers.
        self.writers = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._writer = writer.execution_options(sqlite_begin="IMMEDIATE")
        # Reads need no transaction on Postgres, whose isolation level gives them no snapshot
        # anyway. Without BEGIN and ROLLBACK, a query is one round trip instead of three.
        self._readers = (
            self.engine
            if self.sqlite
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        # SQLite has one writer at a time. Writers of this process wait here, in order and without a
        # connection; those of other processes wait in SQLite.
        self._turns: AbstractContextManager[None] = (
            Turns(BUSY_TIMEOUT) if self.sqlite else nullcontext()
        )

    def __repr__(self) -> str:
        return f"Database({self.engine.url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Yield a session for reading. Nothing is committed."""
        with Session(self._readers) as session:
            yield session

    def read_connection(self) -> Connection:
        """Return a connection for reading, to be closed by the caller. Faster than a session."""
        return self._readers.connect()

    async def run_read(self, read: Callable[[], Result]) -> Result:
        """Run a quick read for a caller in the event loop.

        On SQLite it runs right here: readers never wait, and handing over to a thread would take
        longer than the read. On Postgres it runs in a thread.
        """
        return read() if self.sqlite else await to_thread.run_sync(read)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Yield a session for a unit of work, which is committed once at its end, or not at all."""
        with (
            self._turns,
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """Yield a connection in a writing transaction, without a session, for migrations."""
        with self._turns, self._writer.begin() as connection:
            yield connection

    def checkpoint(self) -> None:
        """Write SQLite's log to the database, so that the log can start over.

        Waits for no reader and no other process. Transactions continue, except that those of this
        process wait for what the others have added in the meantime.
        """
        if not any(self._write_log() for _ in range(PASSES)):
            with self._turns:
                self._write_log()

    def _write_log(self) -> bool:
        """Return whether all of the log was written, or another process is writing it."""
        connection = self.engine.raw_connection()  # without BEGIN
        try:
            cursor = connection.cursor()
            cursor.execute("PRAGMA wal_checkpoint(PASSIVE)")
            ((is_busy, pages, written),) = cursor.fetchall()
        finally:
            connection.close()
        return bool(is_busy) or written == pages

    def close(self) -> None:
        """Close all connections: idle ones now, the others as soon as they are no longer used.

        Threads that are not joined, such as those that run jobs, may still be using some.
        """
        for engine in (self.engine, self._writer):
            event.listen(engine, "checkin", _close_returned)
            engine.dispose()


def partial_index(name: str, columns: Sequence[str], condition: str) -> Index:
    """Return an index of the rows that meet a condition, given as SQL."""
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


def add_if_missing(session: Session, row: type[Base], **values: Any) -> bool:
    """Insert a row unless its key exists; return whether this call inserted it."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    insert = dialect.insert(row).values(values).on_conflict_do_nothing()
    return session.execute(insert.returning(*row.__table__.primary_key)).first() is not None


def clock(session: Session | Connection) -> datetime:
    """Return the time by the database's clock, for comparisons between machines.

    SQLite has no clock of its own: all its processes are on one machine.
    """
    bind = session if isinstance(session, Connection) else session.get_bind()
    if bind.dialect.name == "sqlite":
        return times.now()
    now: datetime = session.scalars(select_query(func.clock_timestamp())).one()
    return now


def is_full(error: object) -> bool:
    """Return whether a driver's error says that a database has no room left."""
    if getattr(error, "sqlite_errorname", None) == "SQLITE_FULL":
        return True
    return getattr(error, "sqlstate", None) == "53100"


def _sqlite(address: URL, *, connections: int, cache: int) -> Engine:
    engine = create_engine(
        address,
        connect_args={"timeout": BUSY_TIMEOUT},
        hide_parameters=True,  # errors quote statements, and error texts are logged
        pool_size=connections,
        pool_timeout=BUSY_TIMEOUT,
    )
    event.listen(engine, "connect", partial(_prepare_sqlite, cache))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(cache: int, connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins transactions (see below), not the driver
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{cache}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    connection.execute("PRAGMA synchronous = FULL")  # an accepted request survives a power failure
    use_write_ahead_log(connection)


def use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a SQLite file to WAL mode."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            # The one statement that does not wait for locks by itself; all who open a new file
            # first run it.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _prepare_postgres(connection: psycopg.Connection, _record: Any) -> None:
    # Not as a connection option, which would replace those in the operator's URL.
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}'")
    connection.commit()


def _still_there(connection: psycopg.Connection, _record: Any, _proxy: Any) -> None:
    """Drop a connection that the server has closed, without a round trip to ask."""
    if not connection.closed:
        heard = select.poll()
        heard.register(connection.fileno(), select.POLLIN)
        if not heard.poll(0):  # there is no goodbye message either
            return
    raise exc.DisconnectionError("the server has closed the connection")


def _close_returned(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.invalidate()


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin")
    if mode is None:  # Reads need not wait, so ask the driver itself: half the time of a read.
        connection.connection.driver_connection.execute("BEGIN")  # type: ignore[union-attr]
    else:
        connection.exec_driver_sql(f"BEGIN {mode}")
