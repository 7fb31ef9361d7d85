"""Prometheus metrics that are read from the database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

from aistemsplitter_server.api import database_metrics
from aistemsplitter_server.api.database_metrics import DatabaseMetrics
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
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
    assert dict(numbers(metrics)) == {"succeeded": 1, "queued": 1, "processing": 0}
    add(database, split(mine, "succeeded"), split(mine, "failed"))
    for _ in range(2):
        assert dict(numbers(metrics)) == {
            "succeeded": 2,
            "failed": 1,
            "queued": 1,
            "processing": 0,
        }
