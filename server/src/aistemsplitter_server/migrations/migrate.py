"""Migrate the database to the newest schema. Of several processes that try at once, one does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from filelock import FileLock
from sqlalchemy import Connection, delete, insert, select, text

from aistemsplitter_server.kit import jobs
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.migrations.tables import Compatibility

# The revision of the oldest version that works with the newest schema. A migration that removes
# what earlier versions use raises it; every migration must leave the previous release working.
WORKS_FROM = "0016"
SAMPLE = 400  # rows that SQLite reads of each index; its documentation says 100 to 1,000
REVISION = re.compile(r"[0-9]{4}", re.ASCII)
ADVISORY_LOCK = 0x41535453  # any number that nothing else in this database uses


class NotMigrated(Exception):
    """The database's schema does not work with this version; the text says what to do."""


def upgrade(database: Database, revision: str = "head") -> None:
    """Migrate up; wait while another process does.

    The queue's tables come first, so they are up to date wherever ours are. A database of a newer
    version stays as it is.

    Raises:
        NotMigrated: It is of a newer version that this one does not work with.
    """
    with _exclusive(database):
        found = _found(database)
        if found is not None and _is_newer(found):
            _require_compatible(database)
            return
        jobs.migrate(database)
        _upgrade(database, revision)


def _upgrade(database: Database, revision: str) -> None:
    with database.connection() as connection:
        if not database.sqlite:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        if revision == "head":
            _record_compatibility(connection)
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
    """Check that this version works with the schema, which may be of a newer version.

    Raises:
        NotMigrated: The schema is older, or of a newer version that this one does not work with.
    """
    found = _found(database)
    if found == _newest():
        return
    if found is None or not _is_newer(found):
        raise NotMigrated("the database is not up to date: run aistemsplitter-server db upgrade")
    _require_compatible(database)


def _found(database: Database) -> str | None:
    with database.engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def _is_newer(revision: str) -> bool:
    return REVISION.fullmatch(revision) is not None and revision > (_newest() or "")


def _require_compatible(database: Database) -> None:
    """Check that a newer version has left this one working."""
    with database.read() as session:
        works_from = session.scalar(select(Compatibility.works_from))
    if works_from is None or works_from > (_newest() or ""):
        raise NotMigrated(
            "the database was upgraded by a newer version, with which this one does not work:"
            " install that version again, or restore the backup from before the upgrade"
        )


def _record_compatibility(connection: Connection) -> None:
    connection.execute(delete(Compatibility))
    connection.execute(insert(Compatibility).values(id=1, works_from=WORKS_FROM))


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
