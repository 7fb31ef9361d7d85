from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import select, text, update

import schema
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import jobs
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.migrations.tables import Compatibility
from databases import Databases, only_sqlite

UPGRADE = """
import sys
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.migrations.tables import Compatibility
from aistemsplitter_server.kit.database import Database
database = Database(sys.argv[1])
migrate.upgrade(database)
migrate.check(database)
"""


def test_migrations_create_the_declared_tables(database: Database) -> None:
    def ours(name: str | None, kind: str, _parents: object) -> bool:
        return kind != "table" or not (jobs.is_table(name) or name == "rate_limits")

    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours})
        assert compare_metadata(context, schema.metadata) == []


@pytest.fixture
def empty(settings: Settings, databases: Databases) -> Iterator[str]:
    """The URL of an empty database."""
    databases.create(settings.database, migrated=False)
    yield settings.database
    databases.drop(settings.database)


def test_many_processes_migrate_at_once(empty: str) -> None:
    command = [sys.executable, "-c", UPGRADE, empty]
    running = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for process in running:
        _, complaint = process.communicate()
        assert (process.returncode, complaint) == (0, "")


def test_a_database_that_is_not_migrated(empty: str) -> None:
    database = Database(empty)
    with pytest.raises(migrate.NotMigrated, match="db upgrade"):
        migrate.check(database)
    database.close()


@pytest.mark.parametrize(("works_from", "works"), [("0016", True), ("9998", False)])
def test_a_database_of_a_newer_version(database: Database, works_from: str, works: bool) -> None:
    """It is used if that version says so, and otherwise refused in one line."""
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.execute(update(Compatibility).values(works_from=works_from))
    for use in (migrate.check, migrate.upgrade):
        if works:
            use(database)
        else:
            with pytest.raises(migrate.NotMigrated, match="newer version") as caught:
                use(database)
            assert "\n" not in str(caught.value)
    with database.read() as session:
        assert session.scalar(text("SELECT version_num FROM alembic_version")) == "9999"


def test_every_migration_is_numbered_and_a_release_behind_works() -> None:
    """Otherwise a running process of the previous release fails when the database is upgraded."""
    assert migrate.REVISION.fullmatch(migrate._newest() or "")
    assert (migrate._newest() or "") >= migrate.WORKS_FROM


@only_sqlite
def test_an_index_made_after_statistics_is_not_preferred(empty: str) -> None:
    database = Database(empty)
    migrate.upgrade(database, "0008")
    with database.connection() as connection:
        for statement in BEFORE:
            connection.execute(text(statement))
        connection.execute(text("ANALYZE"))
    migrate.upgrade(database)
    with database.engine.connect() as connection:
        plan = connection.execute(
            text(
                "EXPLAIN QUERY PLAN SELECT balance FROM credit_entries WHERE account_id = 'acc_1'"
                " ORDER BY number DESC LIMIT 1"
            )
        )
        assert not any("TEMP B-TREE" in row.detail for row in plan)
    database.close()


def test_each_migration_keeps_existing_rows(empty: str) -> None:
    database = Database(empty)
    migrate.upgrade(database, "0001")
    with database.connection() as connection:
        for statement in BEFORE:
            connection.execute(text(statement))
    migrate.upgrade(database)
    with database.read() as session:
        key = session.scalars(select(ApiKey)).one()
        assert (key.id, key.top_priority, key.sealed_previous_secret) == (
            "key_1",
            "interactive",
            None,
        )
        assert session.scalars(select(Entry)).one().balance == 600
    with database.connection() as connection:  # the previous version still serves
        connection.execute(text(BEFORE[1].replace("key_1", "key_2")))
    database.close()


BEFORE = (
    "INSERT INTO accounts (id, name, is_owner, created_at)"
    " VALUES ('acc_1', 'someone', true, '2026-01-01 00:00:00')",
    "INSERT INTO api_keys (id, account_id, name, is_test, digest, scopes, sealed_webhook_secret,"
    " created_at) VALUES ('key_1', 'acc_1', '', false, 'x', '[]', 'x', '2026-01-01 00:00:00')",
    "INSERT INTO credit_entries (id, account_id, number, kind, seconds, balance, reason,"
    " created_at) VALUES ('ent_1', 'acc_1', 1, 'grant', 600, 600, '', '2026-01-01 00:00:00')",
)
