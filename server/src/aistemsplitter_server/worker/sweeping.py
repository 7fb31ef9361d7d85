"""The worker's thread that runs sweeps when they are due."""

from __future__ import annotations

import logging
import threading
import time
from collections import defaultdict

from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.kit import times
from aistemsplitter_server.retention import runs
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.sweep import Run, Sweep
from aistemsplitter_server.worker.sweeps import sweeps

logger = logging.getLogger(__name__)

TICK = 1.0  # seconds between two checks of what is due
STOPPED_AFTER = 5.0  # seconds that a batch is waited for at the end


class Sweeper:
    """Runs sweeps beside the leader's other duties, so that a slow disk does not delay those.

    Attributes:
        leads: Whether this worker is the leader, which sweeps what all machines share.
    """

    def __init__(self, context: WorkerContext) -> None:
        self.leads = False
        self._context = context
        self._sweeps = sweeps()
        self._due: dict[str, float] = defaultdict(float)
        self._thread = threading.Thread(target=self._work, name="sweep", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def join(self) -> None:
        """Wait for the current batch, once the worker is stopping."""
        self._thread.join(STOPPED_AFTER)

    def run_due(self) -> None:
        """Run each due sweep once."""
        for sweep in self._sweeps:
            now = time.monotonic()
            if self._context.stopping.is_set():
                return
            if now < self._due[sweep.name] or not (self.leads or sweep.local):
                continue
            finished = run(self._context, sweep)
            self._due[sweep.name] = now + sweep.every if finished else now

    def _work(self) -> None:
        while True:
            try:
                self.run_due()
            except Exception:
                logger.exception("sweeping failed")
            if self._context.stopping.wait(TICK):
                return


def run(context: WorkerContext, sweep: Sweep) -> bool:
    """Run a sweep and record it; return whether it is finished. Never raises."""
    current, error = Run(context, sweep.name), None
    try:
        sweep.work(current)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}" if isinstance(raised, OSError) else None
        error = error or type(raised).__name__
        logger.error("sweep %s failed: %s", sweep.name, error)
    if current.deleted:
        logger.info("sweep", extra={"sweep": sweep.name, "deleted": current.deleted})
    try:
        with context.database.write() as session:
            runs.note(
                session,
                sweep.name,
                times.now(),
                deleted=current.deleted,
                failures=current.failed + (error is not None),
                error=error,
            )
    except SQLAlchemyError as raised:
        logger.warning("sweep %s could not be recorded: %s", sweep.name, type(raised).__name__)
    return not current.unfinished


def sweep_all(context: WorkerContext) -> None:
    """Run every sweep once, as the leader."""
    sweeper = Sweeper(context)
    sweeper.leads = True
    sweeper.run_due()
