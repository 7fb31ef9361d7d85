"""Ended splits, by hour for the last day and by day for the last month."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, String, and_, case, func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.splits.tables import FAILED, SUCCEEDED, TERMINAL, Split

DAY = timedelta(days=1)
SETTLES = timedelta(minutes=5)  # after its end, when no transaction adds to an hour any longer
HOUR, DAY_OF_UTC = 3600, 86400  # seconds
HOURS, DAYS = 24, 30  # shown, including the current one
CANCELED = "CANCELED"  # cancelled by the owner, so not a failure


@dataclass(frozen=True, slots=True)
class Period:
    """Splits that ended in one hour or day (UTC)."""

    begins: datetime
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    audio_seconds: float = 0.0  # of the splits that succeeded


@dataclass(frozen=True, slots=True)
class Throughput:
    """The last 24 hours and the last 30 days, oldest first, without gaps."""

    hours: Sequence[Period]
    days: Sequence[Period]


# of one period: succeeded, failed, cancelled, seconds of audio
Counts = tuple[int, int, int, float]


class History:
    """Counts by the hour. Hours that are over are counted once and kept in memory.

    It is thread-safe. The first call counts the splits of a month, later ones those of an hour.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._settled: dict[int, Counts] = {}
        self._counted_until = 0  # in seconds since the epoch; earlier hours do not change any more

    def counts(self, session: Session, now: datetime) -> Throughput:
        """Return the counts up to now."""
        hours = _begins(now, HOUR, HOURS)
        days = _begins(now, DAY_OF_UTC, DAYS)
        by_hour = self._by_hour(session, days[0], now)
        by_day: dict[int, list[Counts]] = defaultdict(list)
        for begins, counts in by_hour.items():
            by_day[begins // DAY_OF_UTC * DAY_OF_UTC].append(counts)
        return Throughput(
            [Period(_moment(begins), *by_hour.get(begins, ())) for begins in hours],
            [
                Period(_moment(begins), *map(sum, zip(*by_day[begins], strict=True)))
                for begins in days
            ],
        )

    def _by_hour(self, session: Session, first: int, now: datetime) -> dict[int, Counts]:
        with self._lock:
            known_from = max(first, self._counted_until)
            settled = {at: counts for at, counts in self._settled.items() if at >= first}
        by_hour = settled | _counted(session, known_from)
        over = int((now - SETTLES).timestamp()) // HOUR * HOUR
        with self._lock:
            self._settled = {at: counts for at, counts in by_hour.items() if at < over}
            self._counted_until = over
        return by_hour


def _counted(session: Session, since: int) -> dict[int, Counts]:
    """Return counts by the start of each hour, in seconds since the epoch, without empty hours."""
    cancelled = and_(Split.status == FAILED, Split.error_code == CANCELED)
    query = (
        select(
            _hour(session).label("hour"),
            func.sum(case((Split.status == SUCCEEDED, 1), else_=0)),
            func.sum(case((and_(Split.status == FAILED, ~cancelled), 1), else_=0)),
            func.sum(case((cancelled, 1), else_=0)),
            func.sum(case((Split.status == SUCCEEDED, Split.duration_seconds), else_=0.0)),
        )
        # An index covers all columns used, so the table itself is not read.
        .where(Split.status.in_(TERMINAL), Split.finished_at >= _moment(since))
        .group_by("hour")
    )
    return {_seconds(hour): (*counts,) for hour, *counts in session.execute(query)}


def _hour(session: Session) -> ColumnElement[str]:
    """Return when a split ended, as ``2026-11-25 08`` in UTC."""
    # which stores times as text that begins in this format
    if session.get_bind().dialect.name == "sqlite":
        return func.substr(Split.finished_at, 1, 13, type_=String)
    ended = func.timezone("UTC", Split.finished_at)
    return func.to_char(ended, "YYYY-MM-DD HH24", type_=String)


def _seconds(hour: str) -> int:
    return int(datetime.fromisoformat(hour).replace(tzinfo=UTC).timestamp())


def _begins(now: datetime, length: int, number: int) -> Sequence[int]:
    last = int(now.timestamp()) // length * length
    return [last - length * back for back in reversed(range(number))]


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
