"""Response times of the pages for an account with a long history; needs the test dependencies.

    python bench/pages.py                   # 10,000 splits, on SQLite
    python bench/pages.py --database postgres

The owner is signed in, so that the operator's page is measured too. The service runs as its users
start it, without a worker; each page is requested on one connection, and then on four at once.
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import random
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests")]

import httpx2
from sqlalchemy import insert

import customers
import databases
import postgres
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import ids, secrets, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits.tables import Split
from customers import Customer
from processes import running
from visitors import Visitor, person

PAGES = (
    "/studio",
    "/studio?q=nothing+is+called+so",
    "/studio?q=song+99",
    "/studio/songs/{split}",
    "/settings/developer",
    "/settings/webhooks",
    "/settings/usage",
    "/settings/people",
    "/settings/account",
    "/operator",
    "/operator/accounts",
    "/operator/failures",
)
ASKED = 200  # times each
FAILURES = ("UNSUPPORTED_MEDIA", "INPUT_UNREACHABLE", "CANCELED", "INTERNAL")


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgres"], default="sqlite")
    parser.add_argument("--splits", type=int, default=10_000)
    arguments = parser.parse_args()
    folder = Path(mkdtemp(prefix="pages-"))
    with ExitStack() as stack:
        stack.callback(rmtree, folder, ignore_errors=True)
        url = None
        if arguments.database == "postgres":
            url = stack.enter_context(postgres.running()).url("postgres")
        settings = Settings(data=folder / "data", database_url=url)
        visitor, split_id = _prepared(stack, settings, arguments.splits)
        print(f"{arguments.splits} splits, {arguments.database}; milliseconds, each {ASKED} times")
        print(f"{'page':34} {'median':>7} {'p95':>7} {'p95 of 4 at once':>17} {'kB':>6}")
        for page in PAGES:
            _measure(visitor, page.format(split=split_id), page)


def _prepared(stack: ExitStack, settings: Settings, splits: int) -> tuple[Visitor, str]:
    databases.migrate_up(settings.database)
    database = Database(settings.database)
    stack.callback(database.close)
    owner = person(database, secrets.load(settings.data), "owner@example.org", owner=True)
    mine = customers.of(database, owner.account_id, owner.id)
    split_id = _history(mine, splits)
    service = stack.enter_context(running(settings))
    client = stack.enter_context(service.api())
    visitor = Visitor(client)
    visitor.sign_in(owner.email)
    return visitor, split_id


def _history(mine: Customer, splits: int) -> str:
    """Add songs of the last 60 days, most of them successful, with charges; return one's id."""
    chance = random.Random(1)
    template = mine.split()
    row = {column.key: getattr(template, column.key) for column in Split.__mapper__.column_attrs}
    rows, entries = [], []
    number, balance = 2, mine.balance
    for k in range(splits):
        when = times.now() - timedelta(days=60) + timedelta(days=60) * k / splits
        code = chance.choice(FAILURES) if chance.random() < 0.05 else None
        seconds = chance.randint(120, 300)
        rows.append(
            {
                **row,
                "id": ids.new("split"),
                "filename": f"Song {k}.flac",
                "status": "failed" if code else "succeeded",
                "error_code": code,
                "error_message": code and "It did not work.",
                "duration_seconds": float(seconds),
                "credits_used": 0 if code else seconds,
                "stored_attempt": None if code else 1,
                "attempt": 1,
                "progress": 1.0,
                "created_at": when,
                "updated_at": when,
                "started_at": when,
                "finished_at": when + timedelta(seconds=seconds / 4),
                "expires_at": when + timedelta(days=90),
            }
        )
        for kind, amount in (("grant", seconds), ("charge", -seconds)):
            number, balance = number + 1, balance + amount
            entries.append(
                {
                    "id": ids.new("ent"),
                    "account_id": mine.caller.account_id,
                    "number": number,
                    "kind": kind,
                    "seconds": amount,
                    "balance": balance,
                    "split_id": rows[-1]["id"] if kind == "charge" else None,
                    "reason": "split" if kind == "charge" else "bought",
                    "created_at": when,
                }
            )
    with mine.database.write() as session:
        session.execute(insert(Split), rows)
        session.execute(insert(Entry), entries)
    return next(each["id"] for each in reversed(rows) if each["status"] == "succeeded")


def _measure(visitor: Visitor, path: str, name: str) -> None:
    answer = visitor.get(path)
    if answer.status_code != 200:
        print(f"{name:34} answers {answer.status_code}")
        return
    size = len(answer.content) / 1000
    alone = sorted(_timed(visitor, path) for _ in range(ASKED))
    with ExitStack() as stack:
        base = visitor.client.base_url
        visitors = [
            Visitor(
                stack.enter_context(httpx2.Client(base_url=base, trust_env=False)), visitor.cookies
            )
            for _ in range(4)
        ]
        with ThreadPoolExecutor(4) as pool:
            together = sorted(pool.map(lambda k: _timed(visitors[k % 4], path), range(ASKED)))
    late = int(ASKED * 0.95)
    print(
        f"{name:34} {alone[ASKED // 2]:7.1f} {alone[late]:7.1f} {together[late]:17.1f} {size:6.1f}",
        flush=True,
    )


def _timed(visitor: Visitor, path: str) -> float:
    began = time.perf_counter()
    answer: Any = visitor.get(path)
    assert answer.status_code == 200
    return 1000 * (time.perf_counter() - began)


if __name__ == "__main__":
    main()
