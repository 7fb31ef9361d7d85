"""Durations of a worker's periodic jobs on a filled database; used by ``million_rows.py``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import addresses, checkpoints, jobs, secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import queueing
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.worker import reconciliation, recovery, sweeping
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import Deliveries
from aistemsplitter_server.worker.dispatching import Dispatcher
from aistemsplitter_server.worker.fetching import Fetches
from aistemsplitter_server.worker.sweeps import sweeps

REPEATS = 10  # of a job that changes nothing


def times(database: Database, settings: Settings, account_id: str) -> Iterator[tuple[str, float]]:
    """Yield the name of each job and its longest transaction, or its longest run, in seconds."""
    keys = secrets.load(settings.data)
    outgoing = Outgoing(addresses.networks(""))
    storage = configured(settings, keys)
    context = WorkerContext(settings, database, keys, storage, outgoing, "wrk_bench")
    with jobs.working(database, "wrk_bench", {}, []), checkpoints.running(database):
        for name, job in _small(context, account_id).items():
            yield name, max(_seconds(job) for _ in range(REPEATS))
        for sweep in sweeps():
            with _transactions(database) as durations:
                took = _seconds(partial(sweeping.run, context, sweep))
            yield f"sweep of {sweep.name}", max(durations, default=took)


def _small(context: WorkerContext, account_id: str) -> dict[str, Callable[[], object]]:
    """Return the jobs that consist of one short transaction each."""
    after: dict[str, str | None] = {}

    def walk(step: reconciliation.Step, name: str) -> None:
        after[name] = step(context, after.get(name) or "")

    def next_turn() -> None:
        with context.database.write() as session:
            queueing.next_turn(session, account_id, "interactive")

    return {
        "lease": partial(recovery._leads, context),
        "lost workers' jobs": partial(recovery._requeue_left_behind, context),
        "reconciliation of splits, a step": partial(walk, reconciliation.splits, "splits"),
        "reconciliation of copies, a step": partial(
            walk, reconciliation.listening_copies, "copies"
        ),
        "poll for fetches": Dispatcher(context, Fetches(context.settings)).dispatch,
        "poll for deliveries": Dispatcher(context, Deliveries()).dispatch,
        "turn of a new split": next_turn,
    }


def _seconds(job: Callable[[], object]) -> float:
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


@contextmanager
def _transactions(database: Database) -> Iterator[list[float]]:
    """Collect the durations of the units of work in the block, from begin to commit."""
    durations: list[float] = []
    write = database.write

    @contextmanager
    def timed() -> Iterator[Session]:
        with write() as session:
            began = time.perf_counter()
            yield session
        durations.append(time.perf_counter() - began)

    vars(database)["write"] = timed
    try:
        yield durations
    finally:
        del vars(database)["write"]
