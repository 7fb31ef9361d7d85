"""Recovery of other workers' jobs by the leading worker."""

from __future__ import annotations

import dataclasses

import pytest

from aistemsplitter_server.kit import jobs
from aistemsplitter_server.worker import liveness, recovery
from aistemsplitter_server.worker.context import WorkerContext


def test_a_worker_that_has_just_registered_keeps_its_job(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = dataclasses.replace(context, worker_id="wrk_new")
    requeued: list[str] = []

    def begun() -> list[tuple[str, str]]:
        new.write(lambda session: liveness._register(session, new.worker_id))
        return [("split_1-1", new.worker_id), ("split_2-1", "wrk_gone")]

    monkeypatch.setattr(jobs, "begun", begun)
    monkeypatch.setattr(jobs, "requeue", requeued.append)
    recovery._requeue_left_behind(context)
    assert requeued == ["split_2-1"]
