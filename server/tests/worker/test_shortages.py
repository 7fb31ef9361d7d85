"""What a machine lacks, and how long its worker pauses."""

from __future__ import annotations

import errno
import threading
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.exc import OperationalError

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.worker import shortages
from aistemsplitter_server.worker.attempt import Attempt, ending
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Dispatcher
from aistemsplitter_server.worker.fetching import Fetches
from aistemsplitter_server.worker.shortages import FORGOTTEN, PAUSES, Shortage, Shortages
from aistemsplitter_server.workers.tables import Worker
from beating import beat
from customers import Customer
from scraping import scraped


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_pauses_grow_while_a_shortage_recurs() -> None:
    clock = Clock()
    found = Shortages(clock)
    for pause in (*PAUSES, PAUSES[-1]):
        found.begin(shortages.of_memory("none left"))
        clock.now += pause - 0.1
        assert found.is_paused()
        clock.now += 0.2
        assert not found.is_paused()
        assert found.current() is not None  # reported until a song succeeds
    found.end()
    assert found.current() is None
    found.begin(shortages.of_memory("none left"))
    clock.now += PAUSES[0] + 0.1
    assert not found.is_paused()


def test_songs_that_run_at_the_same_time_count_once() -> None:
    clock = Clock()
    found = Shortages(clock)
    for _ in range(4):
        found.begin(shortages.of_memory("none left"))
    clock.now += PAUSES[0] + 0.1
    assert not found.is_paused()


def test_a_pause_ends_when_there_is_enough_again() -> None:
    enough: list[bool] = []
    found = Shortages(Clock())
    found.begin(Shortage("disk", "full", lambda: bool(enough)))
    assert found.is_paused()
    enough.append(True)
    assert not found.is_paused()
    assert found.current() is None


def test_a_shortage_that_recurs_although_it_seemed_over_pauses() -> None:
    clock = Clock()
    found = Shortages(clock)
    found.begin(Shortage("disk", "full", lambda: True))
    assert not found.is_paused()
    found.begin(Shortage("disk", "full", lambda: True))
    clock.now += PAUSES[1] - 0.1
    assert found.is_paused()
    clock.now += 0.2
    assert not found.is_paused()


def test_a_shortage_that_does_not_recur_is_forgotten() -> None:
    clock = Clock()
    found = Shortages(clock)
    found.begin(shortages.of_memory("none left"))
    clock.now += PAUSES[0] + FORGOTTEN
    assert found.current() is None


def test_waiting_ends_with_the_process() -> None:
    found = Shortages()
    stopping = threading.Event()
    assert found.wait(stopping, 60)
    found.begin(shortages.of_memory("none left"))
    stopping.set()
    assert not found.wait(stopping, 60)


class _Full(Exception):
    sqlite_errorname = "SQLITE_FULL"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.EROFS, "Read-only file system"), "disk"),
        (OperationalError("", {}, _Full("database or disk is full")), "disk"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (MemoryError(), "memory"),
        (OSError(errno.EACCES, "Permission denied"), None),
        (ValueError("a bug"), None),
    ],
)
def test_what_an_error_is_due_to(tmp_path: Path, error: Exception, kind: str | None) -> None:
    found = shortages.find(error, tmp_path)
    assert (found and found.kind) == kind


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        MemoryError(),
    ],
)
def test_a_shortage_fails_no_song(
    context: WorkerContext, someone: Customer, error: Exception
) -> None:
    split_id = someone.split().id
    for _ in range(service.ATTEMPTS + 1):
        split = context.write(lambda session: service.begin(session, split_id, "wrk_1"))
        assert split is not None
        with ending(context, Attempt(context, split)):
            raise error
    with context.database.read() as session:
        found = session.get_one(Split, split_id)
        assert (found.status, found.failures) == ("queued", 0)
    assert context.shortages.is_paused()


def test_a_paused_worker_fetches_nothing(context: WorkerContext, someone: Customer) -> None:
    someone.fetch("http://127.0.0.1:1/song.flac")
    context.shortages.begin(shortages.of_memory("none left"))
    assert Dispatcher(context, Fetches(context.settings)).dispatch() == 0
    context.shortages.end()
    dispatcher = Dispatcher(context, Fetches(context.settings))
    assert dispatcher.dispatch() == 1
    assert dispatcher.wait(60)


def test_readiness_and_metrics(client: httpx2.Client, database: Database) -> None:
    beat(database, "wrk_1")
    beat(database, "wrk_2")
    assert client.get("/readyz").status_code == 200
    _lacks(database, "wrk_1")
    assert client.get("/readyz").status_code == 200  # the other one works
    _lacks(database, "wrk_2")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert "lacks disk: /data: no space" in answer.json()["error"]["message"]
    metrics = scraped(client)
    assert 'aistemsplitter_workers_paused{lack="disk"} 2.0' in metrics
    assert 'aistemsplitter_workers_paused{lack="memory"} 0.0' in metrics


def _lacks(database: Database, worker_id: str) -> None:
    with database.write() as session:
        row = session.get_one(Worker, worker_id)
        row.shortage, row.shortage_reason = "disk", "/data: no space"
