"""Kinds of jobs: a worker begins only those that it can run, in the order of the queue."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from aistemsplitter_server.kit import job_kinds, jobs
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.jobs import Queue
from databases import only_sqlite
from processes import until
from query_plans import planned


def put(database: Database, kinds: Sequence[str | None]) -> None:
    """Queue a job of each kind; its number is its place."""
    with database.write() as session:
        for number, kind in enumerate(kinds):
            jobs.enqueue(
                session,
                "job",
                number,
                queue="songs",
                job_id=f"job-{number}",
                priority=number + 1,
                kind=kind,
            )


def test_a_worker_begins_the_jobs_that_it_can_run_in_order(database: Database) -> None:
    put(database, ["red", "blue", "red", "green", "blue", "green"])
    can_run, ran = ["green", "blue"], list[int]()
    queue = Queue("songs", at_once=1, poll_seconds=0.02, kinds=lambda: can_run)
    with jobs.working(database, "worker", {"job": ran.append}, [queue]):
        until(lambda: ran == [1, 3, 4, 5])
        can_run[:] = ["red"]
        until(lambda: ran == [1, 3, 4, 5, 0, 2])


def test_jobs_of_earlier_versions_are_given_a_kind(database: Database) -> None:
    put(database, [None, "blue"])
    ran: list[int] = []
    queue = Queue("songs", at_once=2, poll_seconds=0.02, kinds=lambda: ["red"])
    with jobs.working(database, "worker", {"job": ran.append}, [queue]):
        with database.write() as session:
            assert job_kinds.without_kind(session, "songs", 10) == ["job-0"]
            job_kinds.set_kind(session, ["job-0"], "red")
            assert job_kinds.without_kind(session, "songs", 10) == []
        until(lambda: ran == [0])
        assert jobs.under_way(["job-1"]) == {"job-1"}


def test_a_worker_that_can_run_nothing_begins_nothing(database: Database) -> None:
    put(database, ["red"])
    ran: list[int] = []
    can_run: list[str] = []
    polls: list[int] = []

    def kinds() -> list[str]:
        polls.append(1)
        return can_run

    queue = Queue("songs", at_once=1, poll_seconds=0.02, kinds=kinds)
    with jobs.working(database, "worker", {"job": ran.append}, [queue]):
        until(lambda: len(polls) > 3)
        assert ran == []
        can_run.append("red")
        until(lambda: ran == [0])


def test_a_job_that_is_claimed_runs_though_the_database_fails_then(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(database, ["red", "red"])
    calls, next_kind = list[int](), job_kinds.next_kind

    def failing(connection: Connection, queue: str, kinds: Sequence[str]) -> str | None:
        calls.append(1)
        if len(calls) == 2:
            raise OperationalError("SELECT", {}, OSError("the connection was lost"))
        return next_kind(connection, queue, kinds)

    monkeypatch.setattr(job_kinds, "next_kind", failing)
    ran: list[int] = []
    queue = Queue("songs", at_once=2, poll_seconds=0.02, kinds=lambda: ["red"])
    with jobs.working(database, "worker", {"job": ran.append}, [queue]):
        until(lambda: sorted(ran) == [0, 1])


@only_sqlite
def test_the_next_job_is_found_in_an_index(database: Database) -> None:
    with (
        jobs.working(database, "worker", {}, []),
        planned(database) as plans,
        database.read_connection() as connection,
    ):
        job_kinds.next_kind(connection, "songs", ["red", "blue"])
        with database.read() as session:
            job_kinds.without_kind(session, "songs", 10)
    assert plans[0].count("partition_dequeue") == 2, plans
    assert "TEMP B-TREE" not in plans[0], plans
    # The index of delayed jobs holds only those.
    assert "SCAN workflow_status" not in " ".join(plans).replace(
        "SCAN workflow_status USING INDEX idx_workflow_status_delayed", ""
    ), plans
