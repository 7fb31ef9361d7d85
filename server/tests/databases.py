"""Databases for tests: one is migrated, and copied for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex
from typing import Protocol

import pytest
from sqlalchemy import create_engine, make_url, text

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.migrations import migrate

only_sqlite = pytest.mark.parametrize("databases", ["sqlite"], indirect=True)
only_postgres = pytest.mark.parametrize("databases", ["postgres"], indirect=True)


class Databases(Protocol):
    """One kind of database."""

    def url(self, folder: Path) -> str:
        """Return the URL of a new database; an SQLite file is placed in the folder."""

    def create(self, url: str, *, migrated: bool = True) -> None:
        """Create the database."""

    def drop(self, url: str) -> None:
        """Drop the database, even if it is in use."""


@contextmanager
def migrated(databases: Databases, url: str) -> Iterator[Database]:
    """Yield a new, migrated database, which is dropped afterwards."""
    databases.create(url)
    database = Database(url)
    try:
        yield database
    finally:
        database.close()
        databases.drop(url)


class Sqlite:
    """SQLite files."""

    def __init__(self, folder: Path) -> None:
        self._template = folder / "migrated.db"
        migrate_up(f"sqlite:///{self._template}")

    def url(self, folder: Path) -> str:
        """See Databases."""
        return f"sqlite:///{folder / 'service.db'}"

    def create(self, url: str, *, migrated: bool = True) -> None:
        """See Databases."""
        path = Path(str(make_url(url).database))
        path.parent.mkdir(parents=True, exist_ok=True)
        if migrated:
            shutil.copy(self._template, path)

    def drop(self, url: str) -> None:
        """See Databases."""
        Path(str(make_url(url).database)).unlink(missing_ok=True)


class Postgres:
    """Databases of one Postgres server."""

    def __init__(self, url: str) -> None:
        self._server = make_url(url).set(drivername="postgresql+psycopg")
        self._engine = create_engine(self._server, isolation_level="AUTOCOMMIT")
        self._template = self.url(Path())
        self.create(self._template, migrated=False)
        migrate_up(self._template)

    def url(self, folder: Path) -> str:  # noqa: ARG002  # only SQLite needs it
        """See Databases."""
        url = self._server.set(drivername="postgresql", database=f"test_{token_hex(6)}")
        return url.render_as_string(hide_password=False)

    def create(self, url: str, *, migrated: bool = True) -> None:
        """See Databases."""
        template = make_url(self._template).database if migrated else "template0"
        self._execute(f"CREATE DATABASE {make_url(url).database} TEMPLATE {template}")

    def drop(self, url: str) -> None:
        """See Databases."""
        self._execute(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def close(self) -> None:
        """Drop the template database."""
        self.drop(self._template)
        self._engine.dispose()

    def _execute(self, statement: str) -> None:
        with self._engine.connect() as connection:
            connection.execute(text(statement))


def migrate_up(url: str) -> None:
    """Create the tables, or bring them up to date."""
    database = Database(url)
    migrate.upgrade(database)
    database.close()
