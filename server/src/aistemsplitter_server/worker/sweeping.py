"""Deleting what is over its time."""

from __future__ import annotations

import logging
from datetime import timedelta

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts import sign_ins
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.operations import closing
from aistemsplitter_server.splits import idempotency, queries
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.uploads import service as uploads
from aistemsplitter_server.webhooks import service as webhooks
from aistemsplitter_server.worker import listening, liveness, work_folder
from aistemsplitter_server.worker.context import WorkerContext

logger = logging.getLogger(__name__)

AT_ONCE = 100  # splits
JOBS_KEPT = timedelta(days=1)


def sweep(context: WorkerContext) -> None:
    """Do it all once."""
    with context.database.write() as session:
        idempotency.sweep(session)
        accounts.erase_old_secrets(session)
        sign_ins.sweep(session)
        liveness.bury(session, context.settings.data)
    closing.sweep(context.database)
    _stems(context)
    _work(context)
    listening.sweep(context)
    uploads.sweep(context.settings, context.database, context.storage)
    webhooks.sweep(context.database)
    audit.sweep(context.database, context.settings.audit_retention_days)
    jobs.forget_ended(times.now() - JOBS_KEPT)


def _stems(context: WorkerContext) -> None:
    while True:
        now = times.now()
        with context.database.read() as session:
            found = [split.id for split in queries.expired(session, now, AT_ONCE)]
        for split_id in found:
            context.storage.delete_prefix(keys.split(split_id))
            context.storage.delete_prefix(keys.fetched(split_id))
        with context.database.write() as session:
            for split_id in found:
                session.get_one(Split, split_id).swept_at = now
        if found:
            logger.info("deleted the audio of %d splits", len(found))
        if len(found) < AT_ONCE:
            return


def _work(context: WorkerContext) -> None:
    """What attempts have left that were killed."""
    data = context.settings.data
    for split_id in work_folder.splits(data):
        with context.database.read() as session:
            split = session.get(Split, split_id)
        if split is None or split.status in TERMINAL:
            work_folder.remove(data, split_id)
