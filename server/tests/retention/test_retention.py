"""Every row that accumulates is deleted after its retention period, and not before."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import func, select

from aistemsplitter_server.accounts.tables import Link, SignIn
from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Base, Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.payments.tables import Purchase
from aistemsplitter_server.retention import overdue
from aistemsplitter_server.splits import idempotency, listening, service
from aistemsplitter_server.splits.tables import IdempotencyKey, Listening, Share, Split
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Event, Receiver
from aistemsplitter_server.worker.context import WorkerContext
from estate import Estate, Things
from sweeps import sweep
from visitors import person

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
# Rows that remain of each table, and for how long after their creation.
KEPT = {
    IdempotencyKey: DAY,
    SignIn: 14 * DAY,
    Listening: 72 * HOUR + 7 * DAY,
    Share: DAY + 30 * DAY,
    Delivery: 30 * DAY,
    Attempt: 30 * DAY,
    Event: 30 * DAY,
    Upload: 72 * HOUR + 30 * DAY,
    Link: 37 * DAY,
    Receiver: 90 * DAY,
    Purchase: 90 * DAY,
    AuditEntry: 365 * DAY,
}


@pytest.fixture
def things(context: WorkerContext, server_secrets: Secrets) -> Things:
    """One object of everything, all of it finished."""
    database = context.database
    someone = person(database, server_secrets, "ada@example.com")
    made = Estate(database, server_secrets, context.storage).things(someone)
    with database.write() as session:
        service.cancel(session, session.get_one(Split, made["queued"]))
        listening.request(session, session.get_one(Split, made["split_id"]))
        idempotency.begin(session, someone.account_id, "key", "print")
        idempotency.remember(session, someone.account_id, "key", "print", {"id": "split_1"})
        for delivery in session.scalars(select(Delivery)):
            delivery.state, delivery.finished_at = "failed", times.now()
            delivery.next_attempt_at = None
    return made


def count(database: Database, table: type[Base]) -> int:
    with database.read() as session:
        return session.scalars(select(func.count()).select_from(table)).one()


def counted(database: Database) -> dict[str, int]:
    return {table.__tablename__: count(database, table) for table in KEPT}


@pytest.mark.usefixtures("things")
def test_nothing_is_deleted_early(context: WorkerContext) -> None:
    before = counted(context.database)
    assert all(before.values())
    for moment in sorted({kept - HOUR for kept in KEPT.values()}):
        sweep(context, after=moment)
        for table, kept in KEPT.items():
            if kept > moment:
                name = table.__tablename__
                assert count(context.database, table) == before[name], (name, moment)


@pytest.mark.usefixtures("things")
def test_everything_expired_is_deleted(context: WorkerContext) -> None:
    late = times.now() + 500 * DAY
    with context.database.read_connection() as connection:
        due = overdue.counts(connection, context.settings, late)
    never = {"erasures", "uploads", "upload_rows", "listening"}  # other sweeps come first
    assert {name for name, number in due.items() if not number} == never
    entries, splits = (count(context.database, table) for table in (Entry, Split))
    sweep(context, after=400 * DAY)
    sweep(context, after=500 * DAY)
    assert not any(counted(context.database).values())
    with context.database.read_connection() as connection:
        due = overdue.counts(connection, context.settings, late)
    assert not any(due.values())
    assert (count(context.database, Entry), count(context.database, Split)) == (entries, splits)


def test_a_sweep_takes_many_batches(context: WorkerContext, things: Things) -> None:
    with context.database.write() as session:
        for number in range(250):
            idempotency.remember(session, things["account_id"], f"key {number}", "print", {})
    sweep(context, "idempotency", after=2 * DAY)
    assert count(context.database, IdempotencyKey) == 0
