from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.operations.throughput import History, Period
from databases import only_postgres
from history import account, add, split

NOW = datetime(2026, 11, 25, 8, 59, 59, 999000, UTC)
HOUR, DAY, MOMENT = timedelta(hours=1), timedelta(days=1), timedelta(milliseconds=1)
THIS_HOUR, TODAY = datetime(2026, 11, 25, 8, tzinfo=UTC), datetime(2026, 11, 25, tzinfo=UTC)


def fill(database: Database) -> None:
    """Add splits on both sides of every boundary."""
    one, other = account(database), account(database)
    add(
        database,
        split(one, "succeeded", finished_at=NOW, duration_seconds=90),
        split(other, "succeeded", finished_at=THIS_HOUR, duration_seconds=30),
        split(one, "failed", finished_at=THIS_HOUR),
        split(one, "failed", finished_at=THIS_HOUR, error_code="CANCELED"),
        split(one, "succeeded", finished_at=THIS_HOUR - MOMENT),
        split(one, "succeeded", finished_at=THIS_HOUR - 23 * HOUR),
        split(one, "succeeded", finished_at=THIS_HOUR - 23 * HOUR - MOMENT),
        split(one, "failed", finished_at=TODAY - 29 * DAY),
        split(one, "failed", finished_at=TODAY - 29 * DAY - MOMENT),
        split(one, "queued"),
        split(one, "processing"),
    )


def test_by_hour(database: Database) -> None:
    fill(database)
    with database.read() as session:
        hours = History().counts(session, NOW).hours
    assert [hour.begins for hour in hours] == [
        THIS_HOUR - back * HOUR for back in range(23, -1, -1)
    ]
    assert hours[-1] == Period(THIS_HOUR, succeeded=2, failed=1, cancelled=1, audio_seconds=120)
    assert hours[-2] == Period(THIS_HOUR - HOUR, succeeded=1, audio_seconds=60)
    assert hours[0] == Period(THIS_HOUR - 23 * HOUR, succeeded=1, audio_seconds=60)
    assert all(hour == Period(hour.begins) for hour in hours[1:-2])


def test_by_day(database: Database) -> None:
    fill(database)
    with database.read() as session:
        days = History().counts(session, NOW).days
    assert [day.begins for day in days] == [TODAY - back * DAY for back in range(29, -1, -1)]
    assert days[-1] == Period(TODAY, succeeded=3, failed=1, cancelled=1, audio_seconds=180)
    assert days[-2] == Period(TODAY - DAY, succeeded=2, audio_seconds=120)
    assert days[0] == Period(TODAY - 29 * DAY, failed=1)


def test_no_throughput(database: Database) -> None:
    with database.read() as session:
        assert History().counts(session, NOW).days[0] == Period(TODAY - 29 * DAY)


def test_past_hours_are_counted_once(database: Database) -> None:
    fill(database)
    history = History()
    with database.read() as session:
        before = history.counts(session, NOW)
    late = split(account(database), "succeeded", finished_at=THIS_HOUR - HOUR)
    add(database, late, split(late.account_id, "succeeded", finished_at=NOW, duration_seconds=60))
    with database.read() as session:
        after = history.counts(session, NOW)
        next_day = history.counts(session, NOW + DAY)
    assert after.hours[-2] == before.hours[-2]
    assert after.hours[-1].succeeded == before.hours[-1].succeeded + 1
    assert next_day.days[-2] == after.days[-1]
    assert next_day.days[0] == before.days[1]


@only_postgres
def test_the_databases_time_zone_does_not_matter(database: Database) -> None:
    fill(database)
    with database.engine.connect() as connection:
        name = database.engine.url.database
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET timezone TO 'Asia/Kolkata'")
        connection.commit()
    database.close()
    with database.read() as session:
        assert History().counts(session, NOW).hours[-1].succeeded == 2
