"""Deleting a split erases its names, URLs and metadata from all related rows."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import inspect, select, update

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Base, Database
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.kit.outgoing import Answer
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import deletion, sharing
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks import attempts
from aistemsplitter_server.webhooks import service as webhooks
from aistemsplitter_server.webhooks.tables import Delivery, Event
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer
from sweeps import sweep

WORD = "PERSONAL"
URL = f"https://bucket.example/{WORD}?X-Amz-Signature={WORD}"


@pytest.fixture
def split(context: WorkerContext, server_secrets: Secrets, someone: Customer) -> Split:
    """A succeeded split with the word in every text, and a rejected webhook."""
    made = someone.finished(context.storage, filename=f"{WORD}.flac")
    with context.database.write() as session:
        split = session.get_one(Split, made.id)
        split.input_url, split.split_metadata, split.warnings = URL, {WORD: WORD}, [WORD]
        split.webhook_url = split.error_message = URL
        sharing.share(session, server_secrets, split, timedelta(hours=1))
        event = session.scalars(select(Event)).one()
        delivery = webhooks.send(session, event, URL)
    with context.database.write() as session:
        begun = attempts.begin(session, delivery.id)
        assert begun is not None
        attempts.record(session, delivery.id, 1, Answer(410, 0.1, f"{WORD} has left", None))
    return split


def rows(database: Database) -> str:
    with database.read() as session:
        tables = Base.metadata.sorted_tables
        names = inspect(session.connection()).get_table_names()
        return repr([session.execute(select(each)).all() for each in tables if each.name in names])


def delete(context: WorkerContext, split: Split) -> None:
    with context.database.write() as session:
        deletion.delete(session, session.get_one(Split, split.id))


def test_personal_data_is_erased(context: WorkerContext, split: Split, someone: Customer) -> None:
    assert rows(context.database).count(WORD) > 8
    balance = someone.balance
    delete(context, split)
    with context.database.read() as session:
        erased = session.get_one(Split, split.id)
    assert WORD not in repr(vars(erased))
    assert erased.erased_at is not None
    sweep(context)
    assert WORD not in rows(context.database)
    assert (erased.duration_seconds, someone.balance) == (20, balance)
    with context.database.read() as session:
        delivery = session.scalars(select(Delivery)).one()
    for endpoint_id in (None, "whe_1"):
        with context.database.write() as session:
            session.execute(update(Delivery).values(endpoint_id=endpoint_id))
        with pytest.raises(Conflict, match="deleted"), context.database.write() as session:
            webhooks.replay(session, someone.caller.account_id, delivery.id, is_test=False)


def test_a_pending_delivery_keeps_its_url_until_it_ends(
    context: WorkerContext, split: Split
) -> None:
    with context.database.write() as session:
        values = {"state": "pending", "finished_at": None, "next_attempt_at": times.now()}
        session.execute(update(Delivery).values(values))
    delete(context, split)
    sweep(context)
    with context.database.read() as session:
        assert session.get_one(Split, split.id).erased_at is None
        assert session.scalars(select(Delivery.url)).one() == URL
    with context.database.write() as session:
        session.execute(update(Delivery).values(state="delivered", finished_at=times.now()))
    sweep(context, "erasures")
    with context.database.read() as session:
        assert session.get_one(Split, split.id).erased_at is not None
        assert session.scalars(select(Delivery.url)).one() == ""


def test_a_split_that_an_older_version_deleted(context: WorkerContext, split: Split) -> None:
    with context.database.write() as session:
        session.execute(update(Split).values(deleted_at=times.now()))
    sweep(context, "erasures")
    with context.database.read() as session:
        assert WORD not in repr(vars(session.get_one(Split, split.id)))
