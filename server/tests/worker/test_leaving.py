"""When a worker stops, and what happens to its songs."""

from __future__ import annotations

import re
import time

import pytest

from aistemsplitter_server.models.catalogue import TINY
from aistemsplitter_server.splits import service as splits
from aistemsplitter_server.worker import leaving
from aistemsplitter_server.worker.attempt import Attempt
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.leaving import HANDOVER, Leaving, Limits
from customers import Customer
from databases import only_sqlite
from processes import Service


def busy() -> bool:
    return False


def idle() -> bool:
    return True


@only_sqlite
@pytest.mark.parametrize(
    ("grace", "signals", "stops"),
    [
        pytest.param(None, 1, True, id="at once"),
        pytest.param(HANDOVER, 1, True, id="no longer than handing over takes"),
        pytest.param(HANDOVER + 3600, 1, False, id="with time to finish"),
        pytest.param(HANDOVER + 3600, 2, True, id="at the second signal"),
    ],
)
def test_songs_may_end_within_the_grace(
    context: WorkerContext, someone: Customer, grace: float | None, signals: int, stops: bool
) -> None:
    split_id = someone.split().id
    split = context.write(lambda session: splits.begin(session, split_id, "wrk_1"))
    assert split is not None
    attempt = Attempt(context, split)
    assert not attempt.should_stop()
    context.abilities.refresh()
    worker = Leaving(context, Limits(grace=grace), is_idle=busy, has_no_song=busy)
    assert TINY.name in worker.kinds()
    for _ in range(signals):
        worker.signalled()
    assert attempt.should_stop() is stops
    assert worker.kinds() == ()  # it begins no other


@only_sqlite
@pytest.mark.parametrize(
    ("limits", "songs"),
    [
        pytest.param(Limits(idle=0.01), 0, id="idle"),
        pytest.param(Limits(songs=2), 2, id="after its songs"),
    ],
)
def test_a_worker_stops_by_itself(
    context: WorkerContext, monkeypatch: pytest.MonkeyPatch, limits: Limits, songs: int
) -> None:
    monkeypatch.setattr(leaving, "POLL", 0.01)
    context.abilities.refresh()
    # Other jobs do not keep it from stopping after its songs.
    worker = Leaving(context, limits, is_idle=busy if songs else idle, has_no_song=idle)
    for _ in range(songs):
        assert worker.kinds()
        worker.begins()
    worker.watch()  # returns once it stops
    assert context.stopping.is_set()
    assert worker.kinds() == ()


@only_sqlite
def test_a_busy_worker_is_not_idle(context: WorkerContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaving, "POLL", 0.01)
    ends = time.monotonic() + 0.3
    worker = Leaving(
        context,
        Limits(idle=0.05),
        is_idle=lambda: time.monotonic() > ends,
        has_no_song=idle,
    )
    worker.watch()
    assert time.monotonic() >= ends


@only_sqlite
def test_a_worker_without_its_gpu_or_without_work_ends(service: Service) -> None:
    lacking = service.start("worker", "--device", "cuda:7")
    idle = service.start("worker", "--max-idle", "1")
    assert lacking.wait() == 1
    assert idle.wait() == 0
    said = service.log("worker")
    assert re.search(r"cannot start: .*cuda", said), said
    assert "Traceback" not in said
