"""Prometheus metrics that are read from the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import update

from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.api import database_metrics
from aistemsplitter_server.api.database_metrics import FAILURES, DatabaseMetrics
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.webhooks import endpoints
from aistemsplitter_server.webhooks.tables import Delivery, Receiver
from customers import customer
from deliveries import failed_split
from history import account, add, split


def numbers(metrics: DatabaseMetrics) -> Iterator[tuple[str, float]]:
    """Return the number of splits by status."""
    for metric in metrics.collect():
        if metric.name == "aistemsplitter_splits":
            yield from ((sample.labels["status"], sample.value) for sample in metric.samples)


def test_ended_splits_are_counted_once(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_metrics, "FRESH", -1.0)
    metrics = DatabaseMetrics(settings, database)
    mine = account(database)
    long_ago = times.now() - timedelta(days=3)
    add(database, split(mine, "succeeded", finished_at=long_ago), split(mine, "queued"))
    assert dict(numbers(metrics)) == {
        "succeeded": 1,
        "failed": 0,
        "canceled": 0,
        "queued": 1,
        "processing": 0,
    }
    canceled = split(mine, "failed", error_code="CANCELED")
    add(database, split(mine, "succeeded"), split(mine, "failed", error_code="ODD"), canceled)
    for _ in range(2):
        assert dict(numbers(metrics)) == {
            "succeeded": 2,
            "failed": 1,
            "canceled": 1,
            "queued": 1,
            "processing": 0,
        }
    (failures,) = (each for each in metrics.collect() if each.name.endswith("split_failures"))
    codes = {sample.labels["code"]: sample.value for sample in failures.samples}
    assert codes == {**dict.fromkeys(FAILURES, 0), "ODD": 1}


def test_webhooks(settings: Settings, database: Database, server_secrets: Secrets) -> None:
    """A delivery that is due and not attempted, and a disabled receiver of each kind."""
    someone = customer(database, server_secrets)
    url = "https://receiver.example/"
    failed_split(someone, url)
    now = times.now()
    disabled = {"disabled_at": now, "disabled_reason": "disabled", "url": url}
    with database.write() as session:
        hour = {"created_at": now - timedelta(hours=1), "next_attempt_at": now - timedelta(hours=1)}
        session.execute(update(Delivery).values(**hour))
        session.add(Receiver(account_id=someone.caller.account_id, **disabled))
        endpoint, _ = endpoints.create(
            session,
            server_secrets,
            Limits(),
            someone.caller.account_id,
            is_test=False,
            url=url,
            events=["split.failed"],
            description="",
        )
        endpoints.update(session, endpoint, disabled=True)  # by its owner, which is no fault
    values = {
        (sample.name.removeprefix("aistemsplitter_webhook_"), *sample.labels.values()): sample.value
        for metric in DatabaseMetrics(settings, database).collect()
        for sample in metric.samples
    }
    assert values["oldest_pending_seconds",] >= 3600
    assert values["overdue_seconds",] >= 3600
    assert values["receivers_disabled", "host"] == 1
    assert values["receivers_disabled", "endpoint"] == 0
