from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from sqlalchemy import update

from aistemsplitter_server.credits import export, queries
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.credits.service import Usage
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.operations import opening


@pytest.fixture
def account(database: Database) -> str:
    with database.write() as session:
        return opening.open_account(session, "someone", free_seconds=6000).id


def charged(database: Database, account: str, split: str, seconds: int, at: datetime) -> None:
    with database.write() as session:
        entry = credits.charge(session, account, split, seconds)
        session.execute(update(Entry).where(Entry.id == entry.id).values(created_at=at))


def test_usage_by_day(database: Database, account: str) -> None:
    today = times.now().date()
    midnight = datetime.combine(today, datetime.min.time(), UTC)
    moment = timedelta(milliseconds=1)
    charged(database, account, "split_a", 10, midnight - moment)
    charged(database, account, "split_b", 20, midnight)
    charged(database, account, "split_c", 30, midnight + moment)
    charged(database, account, "split_d", 40, midnight - timedelta(days=2))
    charged(
        database, account, "split_e", 50, midnight - timedelta(days=2) - moment
    )  # before the period
    charged(database, account, "split_f", 60, midnight - timedelta(days=1))
    with database.write() as session:
        credits.refund(session, account, "split_f", "failed")  # a day later
        other = opening.open_account(session, "other", free_seconds=600).id
        credits.charge(session, other, "split_g", 70)
    with database.read() as session:
        rows = credits.usage(session, account, 3)
        assert rows == [
            Usage(today - timedelta(days=2), 40, 1),
            Usage(today - timedelta(days=1), 10, 1),
            Usage(today, 50, 2),
        ]
        assert credits.usage(session, other, 1) == [Usage(today, 70, 1)]
        assert len(credits.usage(session, account, 90)) == 90
        before = today - timedelta(days=2)
        assert credits.usage_between(session, account, before, before) == [Usage(before, 40, 1)]


def test_pages_of_the_ledger(database: Database, account: str) -> None:
    for number in range(4):
        charged(database, account, f"split_{number}", 10, times.now())
    with database.read() as session:
        first = queries.entries(session, account, 3)
        rest = queries.entries(session, account, 3, before=first[-1].number)
    assert [entry.number for entry in (*first, *rest)] == [5, 4, 3, 2, 1]


def test_the_ledger_as_csv(
    database: Database, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "PAGE_SIZE", 2)
    hostile = ("=1+1", "+1", "-1", "@SUM(A1)", "\t=1", 'a "pack", of\n5')
    with database.write() as session:
        credits.charge(session, account, "split_a", 10)
        for reason in hostile:
            credits.grant(session, account, 60, reason)
        opening.open_account(session, "other", free_seconds=77)
    pieces = list(export.pieces(database, account))
    assert len(pieces) == 5
    header, *rows = csv.reader(StringIO("".join(pieces), newline=""))
    assert tuple(header) == export.COLUMNS
    assert [row[1] for row in rows] == ["grant", "charge", *["grant"] * 6]
    assert rows[1][2:5] == ["-10", "5990", "split_a"]
    assert [row[5] for row in rows[2:]] == [*(f"'{each}" for each in hostile[:5]), hostile[5]]
    assert rows[-1][3] == "6350"
