"""Speed of requests, pages and periodic jobs with a million splits and 100,000 of them queued.

Fills a database with a year of a busy service, starts a real API process on it, and times each
request on one connection, and each transaction of each periodic job. Needs the test dependencies.

    python bench/million_rows.py                               # both databases; some minutes each
    python bench/million_rows.py --database sqlite --splits 100000 --queued 10000
    python bench/million_rows.py --database sqlite --keep /tmp/million    # filled once, used again
"""

# ruff: noqa: E402  # the tests' folder has to be on the path first

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from shutil import copytree, rmtree
from tempfile import mkdtemp
from urllib.parse import urlencode

import httpx2
from rich.console import Console
from rich.table import Table
from sqlalchemy import select

sys.path[:0] = [str(Path(__file__).parents[1] / "server" / "tests"), str(Path(__file__).parent)]

import databases
import million_fill
import million_jobs
import postgres
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts import sign_ins
from aistemsplitter_server.kit import secrets, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.operations import opening
from aistemsplitter_server.splits.tables import Split
from customers import Customer
from processes import Service, running
from scraping import METRICS_TOKEN
from visitors import SESSION, person

ACCOUNTS = 2000
AIM = 50.0  # ms
console = Console(width=110)


@dataclass(frozen=True)
class Filled:
    """A filled database and the people who use it.

    Attributes:
        giant: An API key of the account that owns a fifth of all splits.
        cookie: Session cookie of a person of that account; this person is also the operator.
    """

    settings: Settings
    database: Database
    giant: Customer
    cookie: str


def main() -> None:
    """Fill, measure and print a table for each database."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--database", choices=["sqlite", "postgres", "both"], default="both")
    parser.add_argument("--splits", type=int, default=1_000_000)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=40, help="times that each request is sent")
    parser.add_argument("--keep", type=Path, help="folder that keeps the filled SQLite database")
    options = parser.parse_args()
    for kind in ["sqlite", "postgres"] if options.database == "both" else [options.database]:
        with ExitStack() as stack:
            filled = _filled(stack, kind, options)
            title = f"{kind}, {options.splits:,} splits, {options.queued:,} queued"
            _print(title, [*_requests(filled, options.repeats), *_jobs(filled)])


def _filled(stack: ExitStack, kind: str, options: argparse.Namespace) -> Filled:
    folder = Path(mkdtemp())
    stack.callback(rmtree, folder)
    data = folder / "data"
    kept = options.keep / "data" if options.keep and kind == "sqlite" else None
    reuse = kept is not None and kept.exists()
    if kept is not None and reuse:
        copytree(kept, data)
    data.mkdir(exist_ok=True)
    url = f"sqlite:///{data / 'service.db'}"
    if kind == "postgres":
        url = stack.enter_context(postgres.running(durable=True)).url("postgres")
    databases.migrate_up(url)
    database = Database(url)
    stack.callback(database.close)
    if not reuse:
        _fill(database, options)
        if kept is not None:
            database.close()
            copytree(data, kept)
    keys = secrets.load(data)
    with database.write() as session:
        account_id = opening.owner_account(session, "cli:bench", free_seconds=0).id
        key = accounts.create_key(session, keys, account_id)
    giant = Customer(database, accounts.authenticate(database, keys, key.api_key), key.api_key, "")
    operator = person(database, keys, f"operator{time.time_ns()}@example.com", owner=True)
    with database.write() as session:
        cookie = sign_ins.begin(session, keys, operator, user_agent="bench", address="")
    return Filled(Settings(data=data, database_url=url), database, giant, f"{SESSION}={cookie}")


def _fill(database: Database, options: argparse.Namespace) -> None:
    with database.write() as session:
        ids = [opening.owner_account(session, "cli:bench", free_seconds=0).id]
        ids += [
            opening.open_account(session, f"account {number}", free_seconds=0).id
            for number in range(ACCOUNTS - 1)
        ]
    million_fill.fill(database, million_fill.Shape(options.splits, options.queued, ids))


@dataclass(frozen=True)
class Line:
    """Times of one request or job, in milliseconds."""

    what: str
    middle: float | None
    late: float  # p95; of a job the longest transaction


def _requests(filled: Filled, repeats: int) -> Iterator[Line]:
    with running(filled.settings) as service:
        for limit in ("QUEUED_SPLITS", "STORED_BYTES", "REQUESTS_PER_MINUTE"):
            service.environment[f"{PREFIX}ACCOUNT_{limit}"] = "0"  # none
        yield from _answered(filled, repeats, service)


def _answered(filled: Filled, repeats: int, service: Service) -> Iterator[Line]:
    with service.api() as client:
        for what, send in _calls(filled, client).items():
            took = sorted(_timed(send) for _ in range(repeats))
            yield Line(what, took[len(took) // 2], took[int(len(took) * 0.95)])
        status = Path(f"/proc/{service.running[0].pid}/status").read_text()
        memory = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
        console.print(f"memory of the API process: {int(memory.split()[1]) // 1024} MB")


def _calls(filled: Filled, client: httpx2.Client) -> dict[str, Callable[[], httpx2.Response]]:
    """Return the requests by name; each must succeed."""
    account = filled.giant.caller.account_id
    with filled.database.read() as session:
        mine = select(Split.id).where(Split.account_id == account)
        queued, done = (
            session.scalars(mine.where(Split.status == status).order_by(Split.id.desc())).first()
            for status in ("queued", "succeeded")
        )
        middle = session.scalars(mine.order_by(Split.id).offset(50_000).limit(1)).first() or done
        waiting = iter(session.scalars(mine.where(Split.status == "queued").limit(1000)).all())
    before = str(middle).partition("_")[2]
    month_ago = times.now() - timedelta(days=30)
    day = urlencode({"createdAfter": month_ago, "createdBefore": month_ago + timedelta(days=1)})
    bearer = filled.giant.headers
    pages = {"Cookie": filled.cookie, "Accept": "text/html"}
    uploads = iter([filled.giant.upload() for _ in range(200)])

    def get(path: str, headers: dict[str, str] = bearer) -> Callable[[], httpx2.Response]:
        return lambda: client.get(path, headers=headers)

    return {
        "GET credits": get("/v1/credits"),
        "GET models": get("/v1/models"),
        "GET split, queued": get(f"/v1/audio/splits/{queued}"),
        "GET split, succeeded": get(f"/v1/audio/splits/{done}"),
        "GET splits": get("/v1/audio/splits?limit=100"),
        "GET splits, far back": get(f"/v1/audio/splits?cursor={before}"),
        "GET splits, queued": get("/v1/audio/splits?status=queued"),
        "GET splits, processing (none)": get("/v1/audio/splits?status=processing"),
        "GET splits, failed": get("/v1/audio/splits?status=failed"),
        "GET splits, of a day": get(f"/v1/audio/splits?{day}"),
        "GET splits, of a model": get("/v1/audio/splits?model=htdemucs_ft"),
        "GET splits, with metadata (none)": get("/v1/audio/splits?metadata[order]=1"),
        "GET usage, 31 days": get(f"/v1/usage?start={month_ago.date()}"),
        "POST split": lambda: client.post(
            "/v1/audio/splits", json=filled.giant.request(next(uploads)), headers=bearer
        ),
        "POST cancel": lambda: client.post(
            f"/v1/audio/splits/{next(waiting)}/cancel", headers=bearer
        ),
        "DELETE split": lambda: client.delete(f"/v1/audio/splits/{next(waiting)}", headers=bearer),
        "GET webhook deliveries": get("/v1/webhooks/deliveries"),
        "/metrics": get("/metrics", {"Authorization": f"Bearer {METRICS_TOKEN}"}),
        "studio": get("/studio", pages),
        "studio, search with a hit": get("/studio?q=thunder", pages),
        "studio, search without a hit": get("/studio?q=nowhere", pages),
        "studio, song": get(f"/studio/songs/{done}", pages),
        "usage, 30 days": get("/settings/usage", pages),
        "usage, 90 days": get("/settings/usage?days=90", pages),
        "webhooks": get("/settings/webhooks", pages),
        "webhooks, search without a hit": get("/settings/webhooks?url=nowhere", pages),
        "webhooks, failed (none)": get("/settings/webhooks?state=failed", pages),
        "operator": get("/operator", pages),
        "operator, live part": get("/operator/now", pages),
        "operator, accounts": get("/operator/accounts", pages),
        "operator, accounts, search": get("/operator/accounts?q=nowhere", pages),
        "operator, account": get(f"/operator/accounts/{account}", pages),
        "operator, failures": get("/operator/failures", pages),
    }


def _timed(send: Callable[[], httpx2.Response]) -> float:
    began = time.perf_counter()
    answer = send()
    took = 1000 * (time.perf_counter() - began)
    if answer.status_code != 200:
        raise SystemExit(f"{answer.request.url}: {answer.status_code} {answer.text[:300]}")
    return took


def _jobs(filled: Filled) -> Iterator[Line]:
    account_id = filled.giant.caller.account_id
    for name, seconds in million_jobs.times(filled.database, filled.settings, account_id):
        yield Line(name, None, 1000 * seconds)


def _print(title: str, lines: list[Line]) -> None:
    table = Table(title=title)
    for name in ("", "median, ms", "p95; of a job the longest, ms"):
        table.add_column(name, justify="left" if not name else "right")
    for line in lines:
        style = "bold red" if line.late > AIM else None
        middle = "" if line.middle is None else f"{line.middle:.1f}"
        table.add_row(line.what, middle, f"{line.late:.1f}", style=style)
    console.print(table)


if __name__ == "__main__":
    main()
