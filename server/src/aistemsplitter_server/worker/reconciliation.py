"""Reconciliation: queueing again what waits for a job that is lost.

A job is lost if it ends without updating its split, for instance because the database was down for
longer than the job waits. Deliveries and fetches become due again by themselves; only those that an
earlier version has left may have no due time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial

from aistemsplitter_server.kit import job_kinds, jobs, times
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.models.catalogue import TINY
from aistemsplitter_server.splits import listening, queries, queueing, service
from aistemsplitter_server.webhooks import queries as webhooks
from aistemsplitter_server.worker.context import WorkerContext

logger = logging.getLogger(__name__)

LOST_AFTER = timedelta(minutes=2)  # without a change, until a job is looked up
BATCH = 200  # rows that one step checks
PERIOD = 60.0  # seconds from the beginning of one walk to that of the next, at least

# takes the id to begin after, and returns the one for the next step
Step = Callable[[WorkerContext, str], str | None]


class Walk:
    """A walk through all that waits, a batch per step, once a minute.

    A step continues after the last id of the previous one. So its cost does not depend on how much
    waits, and everything is checked in the end.
    """

    def __init__(self, step: Step) -> None:
        self._step = step
        self._after: str | None = None  # None between two walks
        self._next = 0.0

    def step(self, context: WorkerContext) -> None:
        """Check the next batch, if there is one now."""
        now = time.monotonic()
        if self._after is None:
            if now < self._next:
                return
            self._next = now + PERIOD
        self._after = self._step(context, self._after or "")


def splits(context: WorkerContext, after: str) -> str | None:
    """Queue splits again whose job is lost. Check one batch and return its last id."""
    with context.database.read() as session:
        found = queries.unfinished(session, after, BATCH)
    before = times.now() - LOST_AFTER
    stale = [split for split in found if split.updated_at < before and split.fetch_at is None]
    under_way = jobs.under_way([name for split in stale for name in queueing.job_ids(split)])
    for split in stale:
        if under_way.isdisjoint(queueing.job_ids(split)):
            logger.error("the job of %s is lost; queueing it again", split.id)
            context.write(partial(service.requeue_lost, lost=split))
    return found[-1].id if len(found) == BATCH else None


def deliveries(context: WorkerContext, _after: str) -> str | None:
    """Make pending deliveries without a next attempt due."""
    with context.database.write() as session:
        now = clock(session)
        for delivery in webhooks.stranded(session, now - LOST_AFTER, BATCH):
            logger.error("%s has no time for its next attempt", delivery.id)
            delivery.next_attempt_at = now
    return None


def listening_copies(context: WorkerContext, after: str) -> str | None:
    """Queue listening copies again whose job is lost, like ``splits``."""
    with context.database.read() as session:
        found = queries.copies_queued(session, after, BATCH)
    before = times.now() - LOST_AFTER
    stale = [copy for copy in found if copy.requested_at < before]
    under_way = jobs.under_way([listening.job_id(copy) for copy in stale])
    for copy in stale:
        if listening.job_id(copy) not in under_way:
            logger.error(
                "the job for the listening copies of %s is lost; queueing it again", copy.split_id
            )
            context.write(partial(listening.requeue_lost, lost=copy))
    return found[-1].split_id if len(found) == BATCH else None


def models_of_jobs(context: WorkerContext, _after: str) -> str | None:
    """Set the model of jobs that an earlier version has queued, so that workers begin them."""
    with context.database.read() as session:
        found = {
            job_id: queueing.split_id(job_id)
            for job_id in job_kinds.without_kind(session, queueing.SPLITS, BATCH)
        }
        models = queries.models_of(session, [*found.values()])
    for job_id, split_id in found.items():
        model = models.get(split_id, TINY.name)  # any worker drops the job of a deleted split
        context.write(partial(job_kinds.set_kind, job_ids=[job_id], kind=model))
    return "" if len(found) == BATCH else None


STEPS: tuple[Step, ...] = (models_of_jobs, splits, listening_copies, deliveries)
