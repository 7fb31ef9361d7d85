"""What the database tells Prometheus: the queue, the workers, webhooks and the ledger.

The same from every API process, so one of them is enough to ask. The counts are of whole tables,
so they are taken at most every few seconds, however often somebody asks.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.credits.tables import Total
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks.tables import Delivery
from aistemsplitter_server.worker.tables import DEAD_AFTER, Worker

FRESH = 10.0  # seconds that counts are good for


class Stock(Collector):
    """Counts when asked, and remembers it for a while."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._taken = float("-inf")
        self._counted: Sequence[Metric] = ()

    def describe(self) -> Iterable[Metric]:
        """Nothing: registering must not ask the database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """All of it, or that the database is away."""
        with self._lock:
            if time.monotonic() - self._taken > FRESH:
                self._counted = self._count()
                self._taken = time.monotonic()
            return self._counted

    def _count(self) -> Sequence[Metric]:
        up = GaugeMetricFamily("aistemsplitter_database_up", "1 where the database answers.")
        try:
            with self._database.reading() as connection:
                found = [
                    *_splits(connection),
                    *_workers(connection),
                    _deliveries(connection),
                    _ledger(connection),
                ]
        except SQLAlchemyError:
            up.add_metric((), 0)
            return (up,)
        up.add_metric((), 1)
        return (up, *found)


def _splits(connection: Connection) -> Iterable[Metric]:
    states = GaugeMetricFamily("aistemsplitter_splits", "Splits by status.", labels=("status",))
    for status, number in connection.execute(
        select(Split.status, func.count()).group_by(Split.status)
    ):
        states.add_metric((status,), number)
    yield states
    oldest = queries.queued_since(connection)
    age = max((times.now() - oldest).total_seconds(), 0) if oldest else 0
    yield GaugeMetricFamily(
        "aistemsplitter_queue_age_seconds", "How long the oldest queued split waits.", value=age
    )


def _workers(connection: Connection) -> Iterable[Metric]:
    label = ("worker",)
    busy = CounterMetricFamily(
        "aistemsplitter_worker_busy_seconds",
        "Time spent on splits; its rate is a worker's utilisation.",
        labels=label,
    )
    audio = CounterMetricFamily(
        "aistemsplitter_worker_audio_seconds",
        "Audio separated; its rate is the seconds of audio per second.",
        labels=label,
    )
    live = 0
    seen = Worker.seen_at >= times.now() - DEAD_AFTER
    for row in connection.execute(
        select(Worker.id, Worker.busy_seconds, Worker.audio_seconds).where(seen)
    ):
        busy.add_metric((row.id,), row.busy_seconds)
        audio.add_metric((row.id,), row.audio_seconds)
        live += 1
    yield from (busy, audio)
    yield GaugeMetricFamily("aistemsplitter_workers", "Workers that are alive.", value=live)


def _deliveries(connection: Connection) -> Metric:
    told = GaugeMetricFamily(
        "aistemsplitter_webhook_deliveries", "Deliveries by their state.", labels=("state",)
    )
    for state, number in connection.execute(
        select(Delivery.state, func.count()).group_by(Delivery.state)
    ):
        told.add_metric((state,), number)
    return told


def _ledger(connection: Connection) -> Metric:
    told = CounterMetricFamily(
        "aistemsplitter_ledger_seconds", "Seconds moved, by kind of entry.", labels=("kind",)
    )
    for kind, seconds in connection.execute(
        select(Total.kind, func.sum(Total.seconds)).group_by(Total.kind)
    ):
        told.add_metric((kind,), int(seconds))
    return told
