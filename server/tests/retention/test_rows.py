"""Deleting expired rows."""

from __future__ import annotations

from datetime import timedelta

from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.retention.rows import ROWS
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Event
from history import account, add

DELIVERIES = next(rows for rows in ROWS if rows.name == "deliveries")


def test_a_row_that_was_renewed_meanwhile_is_kept(settings: Settings, database: Database) -> None:
    now = times.now()
    old = now - timedelta(days=100)
    mine = account(database)
    event = Event(
        id=ids.first("evt", old),
        account_id=mine,
        key_id="key_none",
        split_id="split_none",
        type="split.succeeded",
        created_at=old,
    )
    delivery = Delivery(
        id=ids.first("dlv", old),
        account_id=mine,
        event_id=event.id,
        url="https://example.com/",
        state="delivered",
        attempts=1,
        created_at=old,
        finished_at=old,
    )
    attempt = Attempt(delivery_id=delivery.id, number=1, started_at=old)
    for row in (event, delivery, attempt):
        add(database, row)

    with database.read() as session:
        keys = DELIVERIES.find(settings, session, now, 10)
    assert keys == [(delivery.id,)]
    with database.write() as session:
        session.get_one(Delivery, delivery.id).finished_at = now
    with database.write() as session:
        assert DELIVERIES.delete(settings, session, now, keys) == 0
    with database.write() as session:
        assert session.get(Attempt, (delivery.id, 1)) is not None
        session.get_one(Delivery, delivery.id).finished_at = old
    with database.write() as session:
        assert DELIVERIES.delete(settings, session, now, keys) == 1
    with database.read() as session:
        assert session.get(Delivery, delivery.id) is None
        assert session.get(Attempt, (delivery.id, 1)) is None
