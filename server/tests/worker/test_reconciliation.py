"""Work whose job is missing is queued again, even behind a long queue."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text, update

from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import listening, queueing, service
from aistemsplitter_server.splits.tables import Listening, Split
from aistemsplitter_server.webhooks import service as webhooks
from aistemsplitter_server.webhooks.tables import Delivery
from aistemsplitter_server.worker import reconciliation
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.reconciliation import LOST_AFTER, Walk
from customers import Customer
from databases import only_sqlite
from query_plans import planned


@pytest.fixture(autouse=True)
def _working(database: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A worker that takes no jobs, with small batches."""
    monkeypatch.setattr(reconciliation, "BATCH", 3)
    with jobs.working(database, "worker", {}, []):
        yield


def forget_jobs(database: Database, prefix: str = "") -> None:
    table = "workflow_status" if database.sqlite else "dbos.workflow_status"
    with database.write() as session:
        query = text(f"DELETE FROM {table} WHERE workflow_uuid LIKE :ids")
        session.execute(query, {"ids": f"{prefix}%"})


def age(database: Database) -> None:
    """Let everything that waits have waited for long."""
    before = times.now() - LOST_AFTER - timedelta(seconds=1)
    with database.write() as session:
        session.execute(update(Split).values(updated_at=before))
        session.execute(update(Listening).values(requested_at=before))


def has_job(database: Database, split_id: str) -> bool:
    with database.read() as session:
        return bool(jobs.under_way(queueing.job_ids(session.get_one(Split, split_id))))


def test_a_lost_job_behind_a_long_queue(context: WorkerContext, someone: Customer) -> None:
    waiting = [someone.split(1.0).id for _ in range(8)]
    age(context.database)
    for lost in (waiting[4], waiting[7]):
        forget_jobs(context.database, lost)
    new = someone.split(1.0).id
    forget_jobs(context.database, new)
    walk = Walk(reconciliation.splits)
    walk.step(context)
    assert not has_job(context.database, waiting[4])  # one batch per step
    for _ in range(10):  # longer than one pass; the next pass begins a minute later
        walk.step(context)
    assert all(has_job(context.database, each) for each in waiting)
    assert not has_job(context.database, new)  # its creator may still queue it
    with context.database.read() as session:
        attempts = [session.get_one(Split, each).attempt for each in waiting]
    assert attempts == [0, 0, 0, 0, 1, 0, 0, 1]
    assert someone.balance == 3600 - 9


@pytest.mark.parametrize("begun", [0, 1, 2])
def test_a_job_is_found_whatever_the_attempt(
    context: WorkerContext, someone: Customer, begun: int
) -> None:
    split = someone.split(1.0)
    with context.database.write() as session:
        for _ in range(begun):
            service.begin(session, split.id, "wrk_1")
    age(context.database)
    reconciliation.splits(context, "")
    with context.database.read() as session:
        assert session.get_one(Split, split.id).attempt == begun


def test_a_split_that_changed_meanwhile_is_not_queued(
    context: WorkerContext, someone: Customer
) -> None:
    split = someone.split(1.0)
    with context.database.write() as session:
        service.begin(session, split.id, "wrk_1")
        service.retry(session, split.id, 1)
    with context.database.write() as session:
        service.requeue_lost(session, split)  # as it was read before
        assert session.get_one(Split, split.id).attempt == 1


def test_a_long_database_outage(context: WorkerContext, someone: Customer) -> None:
    """Longer than a worker waits: the job has ended, but the split still counts as started."""
    split = someone.split(1.0)
    with context.database.write() as session:
        service.begin(session, split.id, "wrk_1")
    forget_jobs(context.database)
    age(context.database)
    reconciliation.splits(context, "")
    assert has_job(context.database, split.id)
    with context.database.read() as session:
        assert session.get_one(Split, split.id).status == "queued"


def test_listening_copies(context: WorkerContext, someone: Customer) -> None:
    splits = [someone.finished(context.storage, 1.0) for _ in range(6)]
    with context.database.write() as session:
        for split in splits:
            listening.request(session, split)
    age(context.database)
    with context.database.write() as session:
        for split in splits[4:]:  # these still have a job
            listening.request(session, split)
        session.execute(
            update(Split).where(Split.id == splits[1].id).values(expires_at=times.now())
        )
    forget_jobs(context.database, splits[3].id)
    walk = Walk(reconciliation.listening_copies)
    for _ in range(5):
        walk.step(context)
    with context.database.read() as session:
        copies = [session.get_one(Listening, split.id) for split in splits]
        found = jobs.under_way([listening.job_id(copy) for copy in copies])
    assert [listening.job_id(copy) in found for copy in copies] == [True, False, *[True] * 4]
    assert [copy.state for copy in copies] == ["queued", "failed", *["queued"] * 4]


def test_a_delivery_of_an_earlier_version(context: WorkerContext, someone: Customer) -> None:
    account_id, key_id = someone.caller.account_id, someone.caller.key_id
    before = times.now() - LOST_AFTER - timedelta(seconds=1)
    with context.database.write() as session:
        old, new = (
            webhooks.send_test(session, account_id, key_id, "https://a.example", "split.failed")[0]
            for _ in range(2)
        )
        old.created_at = before
        old.next_attempt_at = new.next_attempt_at = None
    reconciliation.deliveries(context, "")
    with context.database.read() as session:
        assert session.get_one(Delivery, old.id).next_attempt_at is not None
        assert session.get_one(Delivery, new.id).next_attempt_at is None


@only_sqlite
def test_only_the_index_is_read(context: WorkerContext, someone: Customer) -> None:
    split = someone.finished(context.storage, 1.0)
    with context.database.write() as session:
        listening.request(session, split)
    someone.split(1.0)
    age(context.database)
    with planned(context.database) as plans:
        reconciliation.splits(context, "")
        reconciliation.listening_copies(context, "")
        reconciliation.deliveries(context, "")
    for lookup in (
        "ix_splits_unfinished (id>?)",
        "ix_listening_queued (split_id>?)",
        "(workflow_uuid=?)",
    ):
        assert any(lookup in plan for plan in plans), plans
    assert not any("SCAN" in plan for plan in plans), plans
