from __future__ import annotations

from datetime import timedelta

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.operations import queue
from aistemsplitter_server.operations.queue import Queue, Waiting
from aistemsplitter_server.operations.queue_sums import QueueSums
from aistemsplitter_server.splits.queueing import BATCH
from beating import beat
from history import account, add, split

NOW = times.now()
SECOND = timedelta(seconds=1)


def current_queue(database: Database) -> Queue:
    with database.read() as session:
        return queue.current(session, QueueSums(database))


def test_an_empty_queue(database: Database) -> None:
    account(database)
    found = current_queue(database)
    assert (found.waiting, found.at_work, found.oldest) == (0, 0, None)
    assert found.drained_in == timedelta(0)


def test_waiting_and_running_splits_by_account(database: Database) -> None:
    one, other = account(database, "one"), account(database, "<b>other</b>")
    oldest = split(one, "queued", created_at=NOW - 90 * SECOND)
    running = split(other, "processing", started_at=NOW - SECOND, worker_id="wrk_1", progress=0.25)
    url = {"upload_id": None, "input_url": "https://songs.example/1"}
    add(
        database,
        oldest,
        split(one, "queued"),
        split(one, "queued", turn=BATCH + 1),
        split(one, "queued", duration_seconds=0, **url),
        split(one, "queued", duration_seconds=60, **url),  # fetched already, and so like any other
        running,
        split(one, "succeeded"),
        split(one, "failed"),
    )
    found = current_queue(database)
    assert list(found.accounts) == [
        Waiting(one, "one", interactive=3, batch=1, to_fetch=1, running=0),
        Waiting(other, "<b>other</b>", interactive=0, batch=0, to_fetch=0, running=1),
    ]
    assert (found.waiting, found.at_work, found.unknown) == (5, 1, 1)
    assert found.oldest == oldest.created_at
    ((at_work, whose),) = found.running
    assert (at_work.id, at_work.worker_id, whose.id) == (running.id, "wrk_1", other)


def test_the_remaining_time_is_estimated_from_recent_splits(database: Database) -> None:
    whose = account(database)
    quick = {"finished_at": NOW, "started_at": NOW - 6 * SECOND}  # ten times as fast as the song
    slow = {"finished_at": NOW, "started_at": NOW - 30 * SECOND, "served_by": "htdemucs"}
    add(
        database,
        split(whose, "succeeded", **quick),
        split(whose, "succeeded", **slow),
        split(whose, "queued", duration_seconds=100),
        split(whose, "queued", duration_seconds=300, is_test=True),  # 30 s of it
        split(whose, "processing", duration_seconds=100, progress=0.3),
        split(whose, "queued", duration_seconds=50, served_by="htdemucs"),
        split(
            whose, "queued", duration_seconds=2, served_by="htdemucs_6s"
        ),  # at the speed of the slowest
    )
    assert current_queue(database).drained_in is None  # no worker is running
    beat(database, "one")
    assert (
        current_queue(database).drained_in == (100 + 30 + 70) / 10 * SECOND + (50 + 2) / 2 * SECOND
    )
    beat(database, "two")
    assert current_queue(database).drained_in == 23 * SECOND


def test_no_estimate_without_recent_splits(database: Database) -> None:
    add(database, split(account(database), "queued"))
    beat(database)
    assert current_queue(database).drained_in is None
