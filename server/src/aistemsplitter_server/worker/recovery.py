"""The leader's duties: requeueing jobs of dead workers, reconciliation and sweeps."""

from __future__ import annotations

import logging
import time
from datetime import timedelta

from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.kit import jobs
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.worker import liveness, reconciliation
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.reconciliation import Walk
from aistemsplitter_server.worker.sweeping import Sweeper
from aistemsplitter_server.workers import queries as workers
from aistemsplitter_server.workers.tables import Lease

logger = logging.getLogger(__name__)

LEASE = "recovery"
LEASED = timedelta(seconds=15)
TICK = 2.0  # seconds
# After the database was down, workers that are alive have so many seconds for a heartbeat.
SETTLED = 2 * liveness.BEAT


def run(context: WorkerContext) -> None:
    """Do the leader's duties, if this worker leads, until the worker stops."""
    settled = 0.0
    walks = [Walk(step) for step in reconciliation.STEPS]
    sweeper = Sweeper(context)
    sweeper.start()
    while True:
        try:
            sweeper.leads = _leads(context)
            if sweeper.leads:
                if time.monotonic() >= settled:
                    _requeue_left_behind(context)
                for walk in walks:
                    walk.step(context)
        except (SQLAlchemyError, OSError) as error:
            logger.warning("recovery is waiting for the database: %s", type(error).__name__)
            settled = time.monotonic() + SETTLED
        except Exception:
            logger.exception("recovery failed")
        if context.stopping.wait(TICK):
            sweeper.join()
            return


def _leads(context: WorkerContext) -> bool:
    """Take or renew the lease, unless another worker holds it."""
    with context.database.write() as session:
        now = clock(session)
        lease = session.get(Lease, LEASE, with_for_update=True)
        if lease is None:
            session.add(Lease(name=LEASE, holder=context.worker_id, until=now + LEASED))
            return True
        holds = lease.holder == context.worker_id
        if not holds and lease.until > now:
            living = workers.alive_ids(session, context.settings.data)
            if lease.holder in living:
                return False
        lease.holder, lease.until = context.worker_id, now + LEASED
        return True


def _requeue_left_behind(context: WorkerContext) -> None:
    begun = jobs.begun()
    # Read last: a worker that has just registered must not lose a job that it has just begun.
    with context.database.read() as session:
        living = workers.alive_ids(session, context.settings.data)
    for job_id, executor_id in begun:
        if executor_id not in living:
            logger.warning("requeueing %s of the dead worker %s", job_id, executor_id)
            jobs.requeue(job_id)
