"""The models of a worker decide which splits it takes."""

from __future__ import annotations

import dataclasses
from functools import partial

from aistemsplitter_server.kit import job_kinds, jobs
from aistemsplitter_server.kit.jobs import Queue
from aistemsplitter_server.models.catalogue import HTDEMUCS, TINY
from aistemsplitter_server.splits.queueing import SEPARATE, SPLITS, Positions
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.worker import liveness, reconciliation
from aistemsplitter_server.worker.abilities import PAUSES, Abilities
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.engine import Engine
from aistemsplitter_server.worker.engines import Engines
from aistemsplitter_server.worker.separation import separate
from customers import Customer
from databases import only_sqlite
from processes import SONG, until


def with_models(context: WorkerContext, *names: str) -> WorkerContext:
    return dataclasses.replace(context, abilities=Abilities(lambda: [*names]))


def test_a_worker_leaves_the_songs_of_models_that_it_lacks_in_the_queue(
    context: WorkerContext, someone: Customer
) -> None:
    """One worker without the weights once failed all of them within milliseconds."""
    waiting = [someone.split_of(someone.upload(), served_by=HTDEMUCS) for _ in range(5)]
    last = someone.split()
    context = with_models(context, TINY.name)
    ran: list[str] = []
    queue = Queue(SPLITS, at_once=1, poll_seconds=0.02, kinds=context.abilities.runnable)
    with (
        liveness.registered(context, "cpu"),
        jobs.working(context.database, "wrk_1", {SEPARATE: ran.append}, [queue]),
    ):
        until(lambda: ran == [last.id])
        positions = Positions(context.database)
        warning = "No worker has htdemucs now; the split waits for one."
        assert [positions.warnings(split) for split in waiting] == [[warning]] * 5
        assert positions.warnings(last) == []
        assert positions.of(last) == 0  # those before it do not delay it


def test_an_earlier_versions_jobs_find_a_worker(context: WorkerContext, someone: Customer) -> None:
    split = someone.split()
    ran: list[str] = []
    queue = Queue(SPLITS, at_once=1, poll_seconds=0.02, kinds=lambda: [TINY.name])
    with jobs.working(context.database, "wrk_1", {SEPARATE: ran.append}, []):
        with context.database.write() as session:
            jobs_table = job_kinds._jobs(session.connection())
            session.execute(jobs_table.update().values(queue_partition_key=None))
        assert reconciliation.models_of_jobs(context, "") is None
    with jobs.working(context.database, "wrk_2", {SEPARATE: ran.append}, [queue]):
        until(lambda: ran == [split.id])


@only_sqlite
def test_a_model_that_is_missing_at_run_time_gives_the_split_back(
    context: WorkerContext, someone: Customer
) -> None:
    upload = someone.upload()
    song = context.settings.data / "song"
    song.write_bytes(SONG.read_bytes())
    context.storage.put_file(keys.upload(upload.id), song)
    split_id = someone.split_of(upload, served_by=HTDEMUCS).id
    context = with_models(context, HTDEMUCS.name, TINY.name)
    context.abilities.refresh()
    engines = Engines(1, partial(Engine, 60, context.settings.data / "work", 60))
    engines.start()
    try:
        separate(context, engines, split_id)
    finally:
        engines.kill()
    with context.database.read() as session:
        split = session.get_one(Split, split_id)
        assert (split.status, split.failures, split.error_code) == ("queued", 0, None)
    assert context.abilities.runnable() == [TINY.name]


def test_a_model_that_cannot_be_loaded_is_tried_again_later() -> None:
    now = 0.0
    abilities = Abilities(lambda: [HTDEMUCS.name], clock=lambda: now)
    abilities.refresh()
    for number, pause in enumerate((*PAUSES, PAUSES[-1]), 1):
        assert abilities.runnable() == abilities.announced() == [HTDEMUCS.name]
        for _ in range(2):  # two songs at the same time count once
            abilities.failed(HTDEMUCS.name)
        assert abilities.runnable() == []
        assert abilities.announced() == ([HTDEMUCS.name] if number == 1 else [])
        now += pause
    abilities.succeeded(HTDEMUCS.name)
    assert abilities.announced() == [HTDEMUCS.name]
