"""Bring the database's schema to the newest version; of many who try at once, one does."""

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
from sqlalchemy import text

from aistemsplitter_server import migrations
from aistemsplitter_server.kit import jobs
from aistemsplitter_server.kit.database import Database

ADVISORY_LOCK = 0x41535453  # any number that nobody else uses in this database


class NotMigrated(Exception):
    """The schema is not the one that this version knows; the text says what to do."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate up; waits while another process does.

    The queue's tables come first: where ours are up to date, so are those.
    """
    with _alone(database):
        jobs.migrate(database)
        _upgrade(database, revision)


def _upgrade(database: Database, revision: str) -> None:
    with database.connection() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def check(database: Database) -> None:
    """Make sure that the schema is the one that this version knows.

    Raises:
        NotMigrated: it is older or newer.
    """
    wanted = _newest()
    with database.engine.connect() as connection:
        found = MigrationContext.configure(connection).get_current_revision()
    if found != wanted:
        raise NotMigrated("the database is not up to date: run aistemsplitter-server db upgrade")


@cache
def _newest() -> str | None:
    """The revision that this version knows; all its files are read for that."""
    return ScriptDirectory.from_config(_config()).get_current_head()


@contextmanager
def _alone(database: Database) -> Iterator[None]:
    if not database.sqlite:
        yield  # Postgres has locks of its own, released when their holder dies
        return
    with FileLock(f"{database.engine.url.database}.migrating"):
        yield


def _config() -> Config:
    config = Config()
    folder = str(Path(str(migrations.__file__)).parent)
    config.set_main_option("script_location", folder.replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config
