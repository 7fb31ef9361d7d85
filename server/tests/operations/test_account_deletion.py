"""Deleted accounts: personal data is erased, and required records are kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.tables import DELETED, Account, Person
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import jobs
from aistemsplitter_server.kit.database import Base, Database
from aistemsplitter_server.kit.errors import NotFound, Unauthorized
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations import closing
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer
from estate import Estate
from sweeps import sweep
from visitors import person


def swept(context: WorkerContext) -> None:
    """Run the leader's sweeps once."""
    sweep(context, "accounts", "stems", "expired_uploads", "uploads")


def dumped(database: Database) -> str:
    """Return all rows of all our tables as text."""
    with database.read() as session:
        tables = [
            table
            for table in Base.metadata.sorted_tables
            if not jobs.is_table(table.name) and table.name != "sweeps"
        ]
        rows = [session.execute(select(table)).all() for table in tables]
    return repr(rows)


def ledger(database: Database, account_id: str) -> list[tuple[str, str, int, int]]:
    """Return the parts of an account's ledger entries that must never change."""
    query = select(Entry.id, Entry.kind, Entry.seconds, Entry.balance)
    query = query.where(Entry.account_id == account_id).order_by(Entry.number)
    with database.read() as session:
        return [(row.id, row.kind, row.seconds, row.balance) for row in session.execute(query)]


class Crash(Exception):
    """A crash of the process before its commit."""


class Crashing(Database):
    """A database whose n-th commit fails."""

    def __init__(self, real: Database, after: int) -> None:
        self.__dict__.update(real.__dict__)
        self.left = after

    @contextmanager
    def write(self) -> Iterator[Session]:
        """Fail at the point where the process might die."""
        with super().write() as session:
            yield session
            self.left -= 1
            if self.left == 0:
                raise Crash


@pytest.fixture
def deleted(
    database: Database, server_secrets: Secrets, storage: Storage, someone: Customer
) -> Person:
    """An account with one object of everything, which is being deleted."""
    someone.finished(storage)  # another account's objects, which are kept
    estate = Estate(database, server_secrets, storage, said="PERSONAL")
    ada = person(database, server_secrets, "personal@example.org")
    things = estate.things(ada)
    with database.write() as session:
        service.begin(session, things["queued"], "wrk_1")
        session.get_one(Account, ada.account_id).name = "PERSONAL"
        standing.start_deletion(session, ada.account_id)
    return ada


def test_personal_data_is_erased(
    context: WorkerContext, deleted: Person, settings: Settings
) -> None:
    database, account_id = context.database, deleted.account_id
    assert "PERSONAL" in dumped(database)
    before = ledger(database, account_id)
    swept(context)
    swept(context)
    with database.read() as session:
        assert session.get_one(Account, account_id).state == DELETED
    assert "personal" not in dumped(database).lower()
    after = ledger(database, account_id)
    assert after[: len(before)] == before
    assert {entry[1] for entry in after[len(before) :]} == {"refund"}  # of the queued split
    assert sum(entry[2] for entry in after) == after[-1][3]
    left = {path.parts[-3] for path in (settings.data / "storage" / "splits").glob("*/*/*")}
    with database.read() as session:
        theirs = select(Split.id).where(Split.account_id == account_id)
        assert not left & set(session.scalars(theirs))
    assert left  # of the other account

    changed = dumped(database)
    swept(context)
    assert dumped(database) == changed


def test_a_deletion_is_completed_after_any_crashes(context: WorkerContext, deleted: Person) -> None:
    database = context.database
    for after in range(1, 200):
        try:
            closing.finish(Crashing(database, after), deleted.account_id)
        except Crash:
            continue
        with database.read() as session:
            if session.get_one(Account, deleted.account_id).state == DELETED:
                break
        swept(context)
    assert "personal" not in dumped(database).lower()
    with database.read() as session:
        refunds = select(func.count()).where(
            Entry.account_id == deleted.account_id, Entry.kind == "refund"
        )
        assert session.scalar(refunds) == 2  # of the failed and of the queued split, once each


def test_keys_and_people_are_rejected_immediately(
    database: Database, server_secrets: Secrets, someone: Customer
) -> None:
    account_id = someone.caller.account_id
    with database.write() as session:
        standing.start_deletion(session, account_id)
    with pytest.raises(Unauthorized):
        accounts.identify(database, server_secrets, someone.api_key)
    for change in (standing.suspend, standing.resume, standing.start_deletion):
        with pytest.raises(NotFound), database.write() as session:
            change(session, account_id)
    with pytest.raises(NotFound), database.write() as session:
        accounts.create_key(session, server_secrets, account_id)
