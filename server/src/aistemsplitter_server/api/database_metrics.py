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
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.models.catalogue import MODELS
from aistemsplitter_server.operations import health
from aistemsplitter_server.operations.throughput import CANCELED, SETTLES
from aistemsplitter_server.retention import overdue
from aistemsplitter_server.retention.tables import Sweep, SweepFailure
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.tables import (
    FAILED,
    IS_PROCESSING,
    IS_QUEUED,
    PROCESSING,
    QUEUED,
    SUCCEEDED,
    TERMINAL,
    Split,
)
from aistemsplitter_server.webhooks.tables import Delivery
from aistemsplitter_server.workers.tables import DEAD_AFTER, SHORTAGES, Worker

FRESH = 10.0  # seconds that counts are reused for
# Present from the beginning, so that the first failure is an increase of an existing counter.
FAILURES = (
    "INPUT_UNREACHABLE",
    "INPUT_FORBIDDEN",
    "INPUT_TOO_LARGE",
    "INPUT_TOO_LONG",
    "UNSUPPORTED_MEDIA",
    "INSUFFICIENT_CREDITS",
    "INTERNAL",
)
STATES = ("pending", "delivered", "failed")  # of deliveries
KINDS = ("grant", "withdrawal", "charge", "refund")  # of entries in the ledger


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
                    *_deliveries(connection),
                    _disabled(connection),
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
    """Counts ended splits by outcome; those that ended a while ago are counted only once.

    An outcome is ``succeeded``, or the error code of a split that failed or was cancelled.
    """

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
        query = select(Split.status, Split.error_code, func.count())
        query = query.where(Split.status.in_(TERMINAL), *ended)
        rows = connection.execute(query.group_by(Split.status, Split.error_code))
        counted = Counter[str]()
        for status, code, number in rows:
            counted[SUCCEEDED if status == SUCCEEDED else code or "INTERNAL"] += number
        return counted


def _splits(connection: Connection, ended: _EndedSplits) -> Iterable[Metric]:
    states = GaugeMetricFamily("aistemsplitter_splits", "Splits by status.", labels=("status",))
    for status, condition in ((QUEUED, IS_QUEUED), (PROCESSING, IS_PROCESSING)):
        states.add_metric((status,), connection.scalar(select(func.count()).where(condition)) or 0)
    outcomes = ended.count(connection)
    succeeded, canceled = outcomes.pop(SUCCEEDED, 0), outcomes.pop(CANCELED, 0)
    states.add_metric((SUCCEEDED,), succeeded)
    states.add_metric((FAILED,), outcomes.total())
    states.add_metric(("canceled",), canceled)
    failures = CounterMetricFamily(
        "aistemsplitter_split_failures",
        "Splits that failed, by error code, without cancelled ones.",
        labels=("code",),
    )
    for code in sorted({*FAILURES, *outcomes}):
        failures.add_metric((code,), outcomes[code])
    yield from (states, failures)
    waiting = GaugeMetricFamily(
        "aistemsplitter_splits_without_worker",
        "Queued splits whose model no live worker has.",
        labels=("model",),
    )
    without = queries.waiting_for(connection, models.lacking(connection))
    for model in MODELS:
        waiting.add_metric((model.name,), without.get(model.name, 0))
    yield waiting
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


def _deliveries(connection: Connection) -> Iterable[Metric]:
    metric = GaugeMetricFamily(
        "aistemsplitter_webhook_deliveries", "Deliveries by their state.", labels=("state",)
    )
    query = select(Delivery.state, func.count()).group_by(Delivery.state)
    numbers = Counter[str](dict(connection.execute(query).all()))
    for state in STATES:
        metric.add_metric((state,), numbers[state])
    yield metric
    # Only pending deliveries have a time for the next attempt.
    oldest, due = connection.execute(
        select(func.min(Delivery.created_at), func.min(Delivery.next_attempt_at)).where(
            Delivery.state == "pending"
        )
    ).one()
    now = clock(connection)
    yield GaugeMetricFamily(
        "aistemsplitter_webhook_oldest_pending_seconds",
        "Age of the oldest pending delivery, which may have been attempted often.",
        value=_since(oldest, now),
    )
    yield GaugeMetricFamily(
        "aistemsplitter_webhook_overdue_seconds",
        "Time since the earliest attempt that is due and has not been made.",
        value=_since(due, now),
    )


def _since(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max((now - moment).total_seconds(), 0.0)


def _disabled(connection: Connection) -> Metric:
    metric = GaugeMetricFamily(
        "aistemsplitter_webhook_receivers_disabled",
        "Receivers that were disabled because they failed: hosts of splits' URLs, and endpoints.",
        labels=("kind",),
    )
    for kind, number in health.disabled_receivers(connection):
        metric.add_metric((kind,), number)
    return metric


def _ledger(connection: Connection) -> Metric:
    metric = CounterMetricFamily(
        "aistemsplitter_ledger_seconds",
        "Seconds granted, withdrawn, charged and refunded.",
        labels=("kind",),
    )
    query = select(Total.kind, func.sum(Total.seconds)).group_by(Total.kind)
    seconds = dict(connection.execute(query).all())
    for kind in KINDS:
        metric.add_metric((kind,), int(seconds.get(kind, 0)))
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
    numbers = dict[str, int]()  # of stuck items
    for row in connection.execute(
        select(Sweep.name, Sweep.ran_at, Sweep.deleted, Sweep.failures).order_by(Sweep.name)
    ):
        numbers[row.name] = 0
        deleted.add_metric((row.name,), row.deleted)
        failures.add_metric((row.name,), row.failures)
        ran.add_metric((row.name,), row.ran_at.timestamp())
    stuck = GaugeMetricFamily(
        "aistemsplitter_sweep_stuck_items", "Items that cannot be deleted now.", labels=label
    )
    query = select(SweepFailure.sweep, func.count()).group_by(SweepFailure.sweep)
    numbers |= dict(connection.execute(query).all())
    for sweep, number in numbers.items():
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
