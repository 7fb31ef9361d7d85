"""The worker process, which runs jobs until it is told to stop."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import addresses, heartbeats, ids, jobs
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.jobs import Queue
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import listening
from aistemsplitter_server.splits.queueing import SEPARATE, SPLITS
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.worker import liveness, probes, recovery, weights, work_folder
from aistemsplitter_server.worker.attempt import Draining
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import Deliveries
from aistemsplitter_server.worker.dispatching import Dispatcher
from aistemsplitter_server.worker.engine import Engine
from aistemsplitter_server.worker.engines import Engines
from aistemsplitter_server.worker.fetching import Fetches
from aistemsplitter_server.worker.leaving import Leaving, Limits
from aistemsplitter_server.worker.listening import listen
from aistemsplitter_server.worker.measuring import Measuring
from aistemsplitter_server.worker.separation import separate
from aistemsplitter_server.worker.stem_deliveries import StemDeliveries

logger = logging.getLogger(__name__)

RETIRED = ("webhooks", "fetches")  # queues of earlier versions
DRAINED_AFTER = 30.0  # seconds that running jobs are waited for, unless a grace is set


def run(settings: Settings, database: Database, limits: Limits) -> None:
    """Run until SIGTERM or SIGINT. Never returns, since stopped jobs block threads."""
    worker_id = ids.new("wrk")
    # First of all: a stalled process may hold SQLite's write lock until this one kills it.
    with heartbeats.beating(settings.data, worker_id):
        _run(settings, database, worker_id, limits)
    logger.info("worker %s has stopped", worker_id)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _run(settings: Settings, database: Database, worker_id: str, limits: Limits) -> None:
    keys = installation.start(settings, database)
    context = WorkerContext(
        settings,
        database,
        keys,
        configured(settings, keys),
        Outgoing(addresses.networks(settings.allow_private_networks)),
        worker_id,
    )
    new_engine = partial(
        Engine,
        settings.engine_silence_seconds,
        settings.data / work_folder.FOLDER,
        settings.measure_seconds,
        settings.device,
    )
    engines = Engines(settings.worker_songs, new_engine)
    running = _Running(context)
    tables = (Fetches(settings), Measuring(), Deliveries(), StemDeliveries())
    dispatchers = [Dispatcher(context, table) for table in tables]
    downloading = threading.Event()
    leaving = Leaving(
        context,
        limits,
        is_idle=lambda: (
            running.is_idle()
            and all(each.wait(0.0) for each in dispatchers)
            and not downloading.is_set()
        ),
        has_no_song=running.is_idle,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: leaving.signalled())

    def song(split_id: str) -> None:
        leaving.begins()
        separate(context, engines, split_id)

    known: dict[str, Callable[..., None]] = {
        SEPARATE: running.counted(song),
        listening.LISTEN: running.counted(partial(listen, context)),
    }
    with liveness.reporting_faults(context):
        songs = min(engines.start(), limits.songs or sys.maxsize)
    queues = (
        Queue(SPLITS, at_once=songs, poll_seconds=0.1, kinds=leaving.kinds),
        Queue(listening.QUEUE, at_once=1, poll_seconds=0.5),
    )
    host, port = settings.worker_metrics_host, settings.worker_metrics_port
    with liveness.registered(context, engines.device), probes.serving(context, host, port):
        if not settings.offline:
            weights.fetch_in_background(context.stopping, downloading)
        with jobs.working(database, context.worker_id, known, queues):
            jobs.retire(RETIRED)
            for dispatcher in dispatchers:
                dispatcher.start()
            logger.info("worker %s is ready", context.worker_id, extra={"songs_at_once": songs})
            leaving.start()
            recovery.run(context)
            grace = DRAINED_AFTER if limits.grace is None else limits.grace
            drained_by = time.monotonic() + grace
            running.wait(grace)
            for dispatcher in dispatchers:
                dispatcher.wait(max(0.0, drained_by - time.monotonic()))
        engines.kill()


class _Running:
    """Counts running jobs, and blocks jobs while the process stops.

    New jobs and those that have stopped block their threads then, so that they count as left behind
    and are requeued.
    """

    def __init__(self, context: WorkerContext) -> None:
        self._context = context
        self._count = 0
        self._changed = threading.Condition()

    def counted(self, job: Callable[..., None]) -> Callable[..., None]:
        def run(*args: Any) -> None:
            if not self._entered():
                _block()
            try:
                job(*args)
            except Draining:
                self._left()
                _block()
            except BaseException:
                self._left()
                raise
            self._left()

        return run

    def _entered(self) -> bool:
        with self._changed:
            if self._context.stopping.is_set():
                return False
            self._count += 1
            return True

    def _left(self) -> None:
        with self._changed:
            self._count -= 1
            self._changed.notify_all()

    def is_idle(self) -> bool:
        with self._changed:
            return not self._count

    def wait(self, seconds: float) -> None:
        ends = time.monotonic() + seconds
        with self._changed:
            while self._count and (left := ends - time.monotonic()) > 0:
                self._changed.wait(left)


def _block() -> NoReturn:
    while True:
        threading.Event().wait()
