"""Migrate the database to the newest schema. Of several processes that try at once, one does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Connection, text

from aistemsplitter_server.kit import jobs
from aistemsplitter_server.kit.database import Database

SAMPLE = 400  # rows that SQLite reads of each index; its documentation says 100 to 1,000
ADVISORY_LOCK = 0x41535453  # any number that nothing else in this database uses


class NotMigrated(Exception):
    """The database's schema is not the one that this version needs; the text says what to do."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate up; wait while another process does.

    The queue's tables come first, so they are up to date wherever ours are.
    """
    with _exclusive(database):
        jobs.migrate(database)
        _upgrade(database, revision)


def _upgrade(database: Database, revision: str) -> None:
    with database.connection() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        _update_statistics(connection, database)


def _update_statistics(connection: Connection, database: Database) -> None:
    """Update the query planner's statistics from a sample of each table.

    If SQLite has statistics of the old indexes but not of a new one, it prefers the new one even
    where it fits badly: reading an account's balance then took 0.4 s with a million splits.
    """
    if database.sqlite:
        connection.execute(text(f"PRAGMA analysis_limit = {SAMPLE}"))
    connection.execute(text("ANALYZE"))


def check(database: Database) -> None:
    """Check that the schema is the one that this version needs.

    Raises:
        NotMigrated: The schema is older or newer.
    """
    wanted = _newest()
    with database.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != wanted:
        raise NotMigrated("the database is not up to date: run aistemsplitter-server db upgrade")


@cache
def _newest() -> str | None:
    """Return the revision that this version needs. Alembic reads all migrations to find it."""
    return ScriptDirectory.from_config(_config()).get_current_head()


@contextmanager
def _exclusive(database: Database) -> Iterator[None]:
    if not database.sqlite:
        yield  # Postgres has advisory locks, which it releases when their holder dies
        return
    with FileLock(f"{database.engine.url.database}.migrating"):
        yield


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
