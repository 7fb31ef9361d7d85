"""Recovery of other workers' jobs by the leading worker."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest

from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.worker import liveness, recovery
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.workers.tables import Worker
from databases import only_postgres
from processes import until


@only_postgres  # all processes with an SQLite database have the same clock
def test_a_leader_whose_clock_is_ahead_requeues_no_jobs_of_live_workers(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = dataclasses.replace(context, worker_id="wrk_other")
    other.write(lambda session: liveness._Row(other, "cpu").register(session))
    requeued: list[str] = []
    monkeypatch.setattr(jobs, "begun", lambda: [("split_1-1", other.worker_id)])
    monkeypatch.setattr(jobs, "requeue", requeued.append)
    assert recovery._leads(other)
    now = times.now
    monkeypatch.setattr(times, "now", lambda: now() + timedelta(seconds=90))
    recovery._requeue_left_behind(context)
    assert requeued == []
    assert not recovery._leads(context)


@only_postgres
def test_a_worker_reports_its_clock(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(liveness, "BEAT", 0.01)
    now = times.now
    monkeypatch.setattr(times, "now", lambda: now() + timedelta(seconds=90))

    def skew() -> float:
        with context.database.read() as session:
            return session.get_one(Worker, context.worker_id).clock_skew or 0.0

    with liveness.registered(context, "cpu"):
        assert until(skew) == pytest.approx(90, abs=30)
    assert "the clock differs from the database's by" in caplog.text


def test_a_worker_that_has_just_registered_keeps_its_job(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = dataclasses.replace(context, worker_id="wrk_new")
    requeued: list[str] = []

    def begun() -> list[tuple[str, str]]:
        new.write(lambda session: liveness._Row(new, "cpu").register(session))
        return [("split_1-1", new.worker_id), ("split_2-1", "wrk_gone")]

    monkeypatch.setattr(jobs, "begun", begun)
    monkeypatch.setattr(jobs, "requeue", requeued.append)
    recovery._requeue_left_behind(context)
    assert requeued == ["split_2-1"]
