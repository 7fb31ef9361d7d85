"""Metrics read from the database: queue, workers, webhooks, the ledger and sweeps.

They are the same from every API process, so scraping one is enough. They count whole tables, so
they are read at most every few seconds, however often they are scraped.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.credits.tables import Total
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database, clock
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations.throughput import SETTLES
from aistemsplitter_server.retention import overdue
from aistemsplitter_server.retention.tables import Sweep, SweepFailure
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.tables import (
    IS_PROCESSING,
    IS_QUEUED,
    PROCESSING,
    QUEUED,
    TERMINAL,
    Split,
)
from aistemsplitter_server.webhooks.tables import Delivery
from aistemsplitter_server.workers.tables import DEAD_AFTER, SHORTAGES, Worker

FRESH = 10.0  # seconds that counts are reused for


class DatabaseMetrics(Collector):
    """Collects the metrics, and reuses them for a while."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self._database = database
        self._lock = threading.Lock()
        self._taken = float("-inf")
        self._counted: Sequence[Metric] = ()
        self._ended = _EndedSplits()

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering does not query the database."""
        return ()

    def collect(self) -> Iterable[Metric]:
        """Return all metrics, or that the database is down."""
        with self._lock:
            if time.monotonic() - self._taken > FRESH:
                self._counted = self._count()
                self._taken = time.monotonic()
            return self._counted

    def _count(self) -> Sequence[Metric]:
        up = GaugeMetricFamily("aistemsplitter_database_up", "1 if the database answers.")
        try:
            with self._database.read_connection() as connection:
                found = [
                    *_splits(connection, self._ended),
                    *_workers(connection),
                    _deliveries(connection),
                    _ledger(connection),
                    *_sweeps(connection),
                    _expired(connection, self._settings),
                ]
        except SQLAlchemyError:
            up.add_metric((), 0)
            return (up,)
        up.add_metric((), 1)
        return (up, *found)


class _EndedSplits:
    """Counts ended splits by status; those that ended a while ago are counted only once."""

    def __init__(self) -> None:
        self._settled = Counter[str]()
        self._until = datetime.fromtimestamp(0, UTC)  # ``_settled`` has all that ended before

    def count(self, connection: Connection) -> Counter[str]:
        until = max(self._until, times.now() - SETTLES)  # also if the clock was set back
        self._settled += self._between(connection, self._until, until)
        self._until = until
        return self._settled + self._between(connection, until, None)

    def _between(
        self, connection: Connection, first: datetime, last: datetime | None
    ) -> Counter[str]:
        ended = [Split.finished_at >= first]
        if last is not None:
            ended.append(Split.finished_at < last)
        query = select(Split.status, func.count()).where(Split.status.in_(TERMINAL), *ended)
        return Counter(dict(connection.execute(query.group_by(Split.status)).all()))


def _splits(connection: Connection, ended: _EndedSplits) -> Iterable[Metric]:
    states = GaugeMetricFamily("aistemsplitter_splits", "Splits by status.", labels=("status",))
    numbers = ended.count(connection)
    for status, condition in ((QUEUED, IS_QUEUED), (PROCESSING, IS_PROCESSING)):
        numbers[status] = connection.scalar(select(func.count()).where(condition)) or 0
    for status, number in sorted(numbers.items()):
        states.add_metric((status,), number)
    yield states
    oldest = queries.queued_since(connection)
    age = max((times.now() - oldest).total_seconds(), 0) if oldest else 0
    yield GaugeMetricFamily(
        "aistemsplitter_queue_age_seconds", "Waiting time of the oldest queued split.", value=age
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
    skew = GaugeMetricFamily(
        "aistemsplitter_worker_clock_skew_seconds",
        "How far a worker's clock is ahead of the database's.",
        labels=label,
    )
    live, lacking = 0, Counter[str]()
    seen = Worker.seen_at >= clock(connection) - DEAD_AFTER
    for row in connection.execute(
        select(
            Worker.id,
            Worker.busy_seconds,
            Worker.audio_seconds,
            Worker.shortage,
            Worker.clock_skew,
        ).where(seen)
    ):
        skew.add_metric((row.id,), row.clock_skew or 0.0)
        lacking[row.shortage or ""] += 1
        busy.add_metric((row.id,), row.busy_seconds)
        audio.add_metric((row.id,), row.audio_seconds)
        live += 1
    paused = GaugeMetricFamily(
        "aistemsplitter_workers_paused",
        "Workers that take no songs, by what their machine lacks.",
        labels=("lack",),
    )
    for kind in SHORTAGES:
        paused.add_metric((kind,), lacking[kind])
    yield from (busy, audio, skew, paused)
    yield GaugeMetricFamily(
        "aistemsplitter_workers", "Workers with a recent heartbeat.", value=live
    )


def _deliveries(connection: Connection) -> Metric:
    metric = GaugeMetricFamily(
        "aistemsplitter_webhook_deliveries", "Deliveries by their state.", labels=("state",)
    )
    for state, number in connection.execute(
        select(Delivery.state, func.count()).group_by(Delivery.state)
    ):
        metric.add_metric((state,), number)
    return metric


def _ledger(connection: Connection) -> Metric:
    metric = CounterMetricFamily(
        "aistemsplitter_ledger_seconds", "Seconds granted, charged and refunded.", labels=("kind",)
    )
    for kind, seconds in connection.execute(
        select(Total.kind, func.sum(Total.seconds)).group_by(Total.kind)
    ):
        metric.add_metric((kind,), int(seconds))
    return metric


def _sweeps(connection: Connection) -> Iterable[Metric]:
    label = ("sweep",)
    deleted = CounterMetricFamily(
        "aistemsplitter_sweep_deleted", "Items deleted by a sweep.", labels=label
    )
    failures = CounterMetricFamily(
        "aistemsplitter_sweep_failures", "Items and runs of a sweep that failed.", labels=label
    )
    ran = GaugeMetricFamily(
        "aistemsplitter_sweep_last_run_timestamp_seconds", "When a sweep last ran.", labels=label
    )
    for row in connection.execute(
        select(Sweep.name, Sweep.ran_at, Sweep.deleted, Sweep.failures).order_by(Sweep.name)
    ):
        deleted.add_metric((row.name,), row.deleted)
        failures.add_metric((row.name,), row.failures)
        ran.add_metric((row.name,), row.ran_at.timestamp())
    stuck = GaugeMetricFamily(
        "aistemsplitter_sweep_stuck_items", "Items that cannot be deleted now.", labels=label
    )
    for sweep, number in connection.execute(
        select(SweepFailure.sweep, func.count()).group_by(SweepFailure.sweep)
    ):
        stuck.add_metric((sweep,), number)
    yield from (deleted, failures, ran, stuck)


def _expired(connection: Connection, settings: Settings) -> Metric:
    expired = GaugeMetricFamily(
        "aistemsplitter_expired_rows",
        "Expired rows that a sweep should have deleted.",
        labels=("sweep",),
    )
    for sweep, number in overdue.counts(connection, settings, times.now()).items():
        expired.add_metric((sweep,), number)
    return expired
