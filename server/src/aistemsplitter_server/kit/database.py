"""The database: SQLite embedded, Postgres scaled, by URL alone.

Sessions are synchronous, because the queue's library enqueues in a caller's transaction only
through a synchronous connection; endpoints run in FastAPI's threads.
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
    make_url,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeDecorator

from aistemsplitter_server.kit.turns import Turns

if TYPE_CHECKING:
    import psycopg

BUSY_TIMEOUT = 10.0  # seconds that a writer waits for another
Result = TypeVar("Result")
CACHE = 512  # KiB, for each connection; the system has a cache of its own
WRITER_CACHE = 4096  # KiB
# Pages of the log, 16 MB, after which SQLite moves what is new to the database: a page that has
# changed again and again is moved once.
CHECKPOINT = 4000
THREADS = 40  # that FastAPI runs endpoints in: an opened file costs more than one kept open
CONNECTIONS = 16  # to Postgres that a process holds at most; its other threads wait for one
# What is raised where the database cannot be reached, or has no room for one more in time.
AWAY = (OperationalError, InterfaceError, exc.TimeoutError)
# A server that is gone is noticed, also where no packet tells of it.
POSTGRES = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # ms
}
# A client that stalls within a transaction would hold its rows for ever.
IDLE_IN_TRANSACTION = "120s"


class Base(DeclarativeBase):
    """Base of all tables; constraints have names, so that migrations can speak of them."""

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
    """An aware time in UTC; SQLite forgets the zone, so it is put back."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Only aware times get in."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone")
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Only aware times come out."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Database:
    """An engine, and the two ways to work with it. Its repr hides the password."""

    def __init__(self, url: str) -> None:
        address = make_url(url)
        self.sqlite = address.get_backend_name() == "sqlite"
        if address.drivername == "postgresql":
            address = address.set(drivername="postgresql+psycopg")
        if self.sqlite:
            Path(str(address.database)).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.engine = _sqlite(address, connections=THREADS, cache=CACHE)
            # Writers of this process take turns, so that one connection is enough. It keeps what
            # it has read: only what others change takes that away.
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
        # A transaction that reads first and writes later fails on SQLite when another wrote in
        # between, however long it waits; one that means to write says so at its beginning.
        self.writers = self.engine.execution_options(sqlite_begin="IMMEDIATE")
        self._writer = writer.execution_options(sqlite_begin="IMMEDIATE")
        # Reading needs no transaction on Postgres, whose level gives it no view of its own: without
        # BEGIN and ROLLBACK a query is one journey to the server instead of three.
        self._readers = (
            self.engine
            if self.sqlite
            else self.engine.execution_options(isolation_level="AUTOCOMMIT")
        )
        # SQLite has one writer at a time. Those of this process wait here, in order and without
        # a connection; those of other processes by SQLite's own means.
        self._turns: AbstractContextManager[None] = (
            Turns(BUSY_TIMEOUT) if self.sqlite else nullcontext()
        )

    def __repr__(self) -> str:
        return f"Database({self.engine.url.render_as_string(hide_password=True)!r})"

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that only reads; nothing of it is committed."""
        with Session(self._readers) as session:
            yield session

    def reading(self) -> Connection:
        """A connection that only reads, to be closed; leaner than a session where speed counts."""
        return self._readers.connect()

    async def look(self, reading: Callable[[], Result]) -> Result:
        """Do a quick reading for one in the event loop.

        On SQLite here and now, since readers wait for nobody and the way into a thread takes
        longer than the reading; on Postgres in a thread.
        """
        return reading() if self.sqlite else await to_thread.run_sync(reading)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A unit of work: committed once at its end, or not at all."""
        with (
            self._turns,
            Session(self._writer, expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection in a writing transaction, without a session: for migrations."""
        with self._turns, self._writer.begin() as connection:
            yield connection

    def close(self) -> None:
        """Close all idle connections."""
        self.engine.dispose()
        self._writer.dispose()


def partial_index(name: str, columns: Sequence[str], condition: str) -> Index:
    """Return an index of the rows that meet a condition, written in SQL."""
    where = text(condition)
    return Index(name, *columns, sqlite_where=where, postgresql_where=where)


def add_if_missing(session: Session, row: type[Base], **values: Any) -> bool:
    """Insert a row unless its key is there; of several at once, one does and returns True."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    insert = dialect.insert(row).values(values).on_conflict_do_nothing()
    return session.execute(insert.returning(*row.__table__.primary_key)).first() is not None


def _sqlite(address: URL, *, connections: int, cache: int) -> Engine:
    engine = create_engine(
        address,
        connect_args={"timeout": BUSY_TIMEOUT},
        hide_parameters=True,  # errors quote statements, and their text goes to the log
        pool_size=connections,
        pool_timeout=BUSY_TIMEOUT,
    )
    event.listen(engine, "connect", partial(_prepare_sqlite, cache))
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(cache: int, connection: sqlite3.Connection, _record: Any) -> None:
    connection.isolation_level = None  # SQLAlchemy begins, see below; not the driver
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA cache_size = -{cache}")
    connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
    connection.execute("PRAGMA synchronous = FULL")  # an accepted request outlives a power cut
    use_write_ahead_log(connection)


def use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch a SQLite file to WAL."""
    deadline = time.monotonic() + BUSY_TIMEOUT
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            # The one statement that does not wait for others by itself: a new file is switched
            # to WAL by all who open it first.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _prepare_postgres(connection: psycopg.Connection, _record: Any) -> None:
    # Not by an option of the connection: those of the operator's URL would be lost.
    connection.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION}'")
    connection.commit()


def _still_there(connection: psycopg.Connection, _record: Any, _proxy: Any) -> None:
    """Give up a connection that the server has closed; asking it would be one more journey."""
    if not connection.closed:
        heard = select.poll()
        heard.register(connection.fileno(), select.POLLIN)
        if not heard.poll(0):  # it has not said good-bye either
            return
    raise exc.DisconnectionError("the server has closed the connection")


def _begin_sqlite(connection: Connection) -> None:
    mode = connection.get_execution_options().get("sqlite_begin")
    if mode is None:  # nobody waits here, so the driver is asked itself: half the time of a read
        connection.connection.driver_connection.execute("BEGIN")  # type: ignore[union-attr]
    else:
        connection.exec_driver_sql(f"BEGIN {mode}")
