from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.operations import health
from aistemsplitter_server.operations.health import Disk
from aistemsplitter_server.webhooks import endpoints
from aistemsplitter_server.webhooks.tables import Delivery, Endpoint, Event, Receiver
from history import account

NOW = times.now()
DAY = timedelta(days=1)
URL = "https://hooks.example/<script>"


def test_webhooks(database: Database) -> None:
    whose = account(database, "one")
    event = Event(
        id=ids.new("evt"),
        account_id=whose,
        key_id="key_none",
        split_id="split_none",
        type="split.failed",
        created_at=NOW,
    )

    def delivery(state: str, ended: timedelta | None = None) -> Delivery:
        return Delivery(
            id=ids.new("dlv"),
            account_id=whose,
            event_id=event.id,
            url=URL,
            state=state,
            attempts=1,
            created_at=NOW - 2 * DAY,
            finished_at=None if ended is None else NOW - ended,
        )

    def endpoint(url: str, reason: str | None) -> Endpoint:
        return Endpoint(
            id=ids.new("whe"),
            account_id=whose,
            is_test=False,
            url=url,
            events=["split.failed"],
            description="",
            sealed_webhook_secret=b"",
            created_at=NOW,
            updated_at=NOW,
            disabled_at=None if reason is None else NOW - DAY,
            disabled_reason=reason,
        )

    with database.write() as session:
        session.add(event)
        session.flush()
        session.add_all(
            [
                *(delivery("pending") for _ in range(2)),
                delivery("failed", DAY / 2),
                delivery("failed", 2 * DAY),
                delivery("delivered", DAY / 2),
                Receiver(account_id=whose, url=URL, disabled_at=NOW, disabled_reason="no"),
                Receiver(account_id=whose, url="https://fine.example"),
                endpoint("https://gone.example", "disabled: it answered 410 Gone"),
                endpoint("https://off.example", endpoints.DISABLED_BY_USER),
                endpoint("https://on.example", None),
            ]
        )
    with database.read() as session:
        found = health.webhooks(session, NOW)
    assert (found.pending, found.failed, found.disabled) == (2, 1, 2)
    shown = [(receiver.url, account_of_it.name) for receiver, account_of_it in found.receivers]
    assert shown == [(URL, "one"), ("https://gone.example", "one")]


def test_disk(tmp_path: Path) -> None:
    found = health.disk(tmp_path)
    assert 0 < found.free < found.total
    assert Disk(free=9 << 30, total=1 << 40).is_low
    assert not Disk(free=11 << 30, total=1 << 40).is_low


def test_versions(database: Database) -> None:
    with database.read() as session:
        found = dict(health.versions(database, session))
    assert found["SQLite" if database.sqlite else "PostgreSQL"][0].isdigit()
    assert set(found) >= {"aistemsplitter-server", "Python"}
