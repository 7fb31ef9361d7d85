"""Queries of the operator's page and the metrics use indexes instead of reading every split."""

from __future__ import annotations

import re

from aistemsplitter_server.api.database_metrics import DatabaseMetrics
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations import failures, health, queue
from aistemsplitter_server.operations.queue_sums import QueueSums
from aistemsplitter_server.operations.throughput import History
from aistemsplitter_server.splits import queries
from databases import only_sqlite
from query_plans import planned

OF_ALL_SPLITS = re.compile(r"SCAN splits(?! USING (COVERING )?INDEX ix_splits_(queue|unfinished))")


@only_sqlite
def test_the_queue_is_read_from_its_indexes(database: Database) -> None:
    with planned(database) as plans, database.read() as session:
        queue.current(session, QueueSums(database))
        queries.queue_places(session)
        queries.queued_since(session)
    of_splits = [plan for plan in plans if "splits" in plan]
    assert of_splits
    assert not any(OF_ALL_SPLITS.search(plan) for plan in of_splits), of_splits
    assert sum("ix_splits_ended" in plan for plan in of_splits) <= 1, of_splits  # recent speeds


@only_sqlite
def test_ended_splits_are_read_from_an_index(settings: Settings, database: Database) -> None:
    metrics = DatabaseMetrics(settings, database)
    with planned(database) as plans:
        assert list(metrics.collect())
        with database.read() as session:
            History().counts(session, times.now())
            failures.reasons(session, times.now())
    of_splits = [plan for plan in plans if "splits" in plan]
    assert any("ix_splits_ended" in plan for plan in of_splits)
    assert not any(OF_ALL_SPLITS.search(plan) for plan in of_splits), of_splits


@only_sqlite
def test_failed_deliveries_are_read_from_their_index(database: Database) -> None:
    with planned(database) as plans, database.read() as session:
        health.webhooks(session, times.now())
    assert any("COVERING INDEX ix_deliveries_failed" in plan for plan in plans), plans
    assert not any("SCAN deliveries" in plan for plan in plans), plans
