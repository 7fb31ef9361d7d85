from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import timedelta

import pytest
from sqlalchemy import text

from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.jobs import Queue
from databases import only_sqlite
from processes import until
from query_plans import planned

QUEUE = Queue("songs", at_once=1, poll_seconds=0.05)

DYING = """
import sys, threading
from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.kit.database import Database

def job(number):
    print(f"{number}\\n", end="", flush=True)  # in one piece: two do it at once
    threading.Event().wait()

with jobs.working(Database(sys.argv[1]), "dying", {"job": job}, [jobs.Queue("songs", 2, 0.05)]):
    threading.Event().wait()
"""


def put(database: Database, numbers: Iterable[int], **options: int) -> None:
    with database.write() as session:
        for number in numbers:
            jobs.enqueue(session, "job", number, queue="songs", job_id=f"job-{number}", **options)


def failing() -> Iterator[int]:
    yield 0
    raise RuntimeError


def test_a_job_is_queued_with_the_transaction_or_not_at_all(database: Database) -> None:
    with pytest.raises(RuntimeError):
        put(database, failing())
    put(database, [1])
    put(database, [1])  # the same id
    ran: list[int] = []
    with jobs.working(database, "worker", {"job": ran.append}, [QUEUE]):
        until(lambda: bool(ran))
        time.sleep(0.3)  # time for a second run, which must not happen
    assert ran == [1]


def test_order(database: Database) -> None:
    put(database, [5], priority=9)
    put(database, [3, 4], priority=8)
    put(database, [1])
    put(database, [2], delay_seconds=1)
    begun, ran = time.monotonic(), list[tuple[int, float]]()

    def job(number: int) -> None:
        ran.append((number, time.monotonic() - begun))

    with jobs.working(database, "worker", {"job": job}, [QUEUE]):
        until(lambda: len(ran) == 5)
    assert [number for number, _ in ran if number != 2] == [1, 3, 4, 5]
    assert dict(ran)[2] >= 1


def test_concurrency_is_limited(database: Database) -> None:
    put(database, range(4))
    busy, most, lock = 0, 0, threading.Lock()
    ran: list[int] = []

    def job(number: int) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        time.sleep(0.2)  # so that jobs overlap
        with lock:
            busy -= 1
            ran.append(number)

    with jobs.working(database, "worker", {"job": job}, [Queue("songs", 2, 0.05)]):
        until(lambda: len(ran) == 4)
    assert most == 2


def test_each_process_has_its_own_limit(database: Database) -> None:
    """Also after another one has started, with a higher limit."""
    put(database, range(1, 7))
    command = [
        sys.executable,
        "-c",
        DYING,  # runs two
        database.engine.url.render_as_string(hide_password=False),
    ]
    let_go = threading.Event()
    with jobs.working(database, "worker", {"job": lambda _: let_go.wait(60)}, [QUEUE]):
        until(lambda: len(jobs.begun()) == 1)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
            try:
                assert other.stdout is not None
                _ = other.stdout.readline(), other.stdout.readline()
                time.sleep(0.5)  # time for further jobs, which must not begin
                counts = Counter(executor for _, executor in jobs.begun())
            finally:
                other.kill()
                let_go.set()
    assert counts == {"worker": 1, "dying": 2}


def test_jobs_of_a_killed_worker_are_requeued(database: Database) -> None:
    put(database, [1, 2])
    command = [
        sys.executable,
        "-c",
        DYING,
        database.engine.url.render_as_string(hide_password=False),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        said = {dying.stdout.readline(), dying.stdout.readline()}
        dying.kill()
    assert said == {"1\n", "2\n"}
    ran: list[int] = []
    with jobs.working(database, "worker", {"job": ran.append}, [QUEUE]):
        assert sorted(jobs.begun()) == [("job-1", "dying"), ("job-2", "dying")]
        jobs.requeue("job-1")
        until(lambda: ran == [1])
        assert ("job-2", "dying") in jobs.begun()
        until(lambda: jobs.begun() == [("job-2", "dying")])
        jobs.requeue("job-1")  # it has ended
        time.sleep(0.3)  # time for a second run, which must not happen
    assert ran == [1]


def test_jobs_are_stored_as_json(database: Database) -> None:
    put(database, [7])
    with database.read() as session:
        schema = "" if database.sqlite else "dbos."
        stored = session.scalars(text(f"SELECT inputs FROM {schema}workflow_input")).all()
        stored += session.scalars(text(f"SELECT inputs FROM {schema}workflow_status")).all()
    assert any(row and "[7]" in row for row in stored)


def test_jobs_in_progress_are_listed(database: Database) -> None:
    put(database, range(1, 4))
    put(database, [4], delay_seconds=60)
    let_go = threading.Event()
    asked = [f"job-{number}" for number in range(6)]
    with jobs.working(database, "worker", {"job": lambda _: let_go.wait(60)}, [QUEUE]):
        until(lambda: len(jobs.begun()) == 1)
        assert jobs.under_way(asked) == {"job-1", "job-2", "job-3", "job-4"}
        let_go.set()
        until(lambda: jobs.under_way(asked) == {"job-4"})
        assert jobs.under_way([]) == set()


@only_sqlite
def test_a_job_is_looked_up_by_its_id(database: Database) -> None:
    with jobs.working(database, "worker", {}, []), planned(database) as plans:
        jobs.under_way(["job-1", "job-2"])
    assert any("(workflow_uuid=?)" in plan for plan in plans), plans
    assert not any("SCAN workflow_status" in plan for plan in plans), plans


def test_queues_without_workers(database: Database) -> None:
    put(database, [1])
    put(database, [2], delay_seconds=60)
    with jobs.working(database, "worker", {}, []):
        jobs.retire(["other"])
        assert kept(database) == {"job-1", "job-2"}
        jobs.retire(["other", "songs"])
        assert kept(database) == set()


def test_old_jobs_are_deleted(database: Database) -> None:
    put(database, [1])
    ran: list[int] = []
    with jobs.working(database, "worker", {"job": ran.append}, [QUEUE]):
        until(lambda: bool(ran) and not jobs.begun() and not jobs.under_way(["job-1"]))
        put(database, [2], delay_seconds=60)
        assert jobs.forget_ended(times.now() - timedelta(hours=1), 10) == 0
        assert kept(database) == {"job-1", "job-2"}
        assert jobs.forget_ended(times.now() + timedelta(hours=1), 10) == 1
        assert kept(database) == {"job-2"}


def kept(database: Database) -> set[str]:
    schema = "" if database.sqlite else "dbos."
    with database.read() as session:
        query = f"SELECT workflow_uuid FROM {schema}workflow_status WHERE queue_name = 'songs'"
        return set(session.scalars(text(query)))
