"""All sweeps: what each deletes, and how often it runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from aistemsplitter_server.accounts import webhook_secrets
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.retention import failures
from aistemsplitter_server.retention.rows import ROWS
from aistemsplitter_server.splits import deletion, deletion_queries
from aistemsplitter_server.splits import queries as splits
from aistemsplitter_server.uploads import queries as uploads
from aistemsplitter_server.uploads import service as uploads_service
from aistemsplitter_server.webhooks import receivers
from aistemsplitter_server.webhooks.tables import Endpoint
from aistemsplitter_server.worker import leftovers, listening
from aistemsplitter_server.worker.sweep import BATCH, Run, Sweep, expired_rows, items, rows
from aistemsplitter_server.workers import queries as workers

OFTEN, SELDOM, RARELY = 60.0, 600.0, 6 * 3600.0  # seconds between runs


def sweeps() -> Sequence[Sweep]:
    """Return every sweep, in the order in which they run when all are due."""
    return (
        Sweep("accounts", OFTEN, items(leftovers.closed_accounts, leftovers.close_account)),
        Sweep(
            "stems",
            OFTEN,
            items(leftovers.expired_audio, leftovers.delete_audio, deletion_queries.set_swept),
        ),
        Sweep("direct_uploads", OFTEN, items(leftovers.expired_direct, leftovers.settle_direct)),
        Sweep(
            "expired_uploads", OFTEN, rows(partial(uploads_service.expire, splits.needed_uploads))
        ),
        Sweep(
            "uploads",
            OFTEN,
            items(leftovers.deleted_uploads, leftovers.delete_upload, uploads.set_swept),
        ),
        Sweep("erasures", OFTEN, rows(deletion.erase_deleted)),
        Sweep("old_secrets", OFTEN, rows(partial(webhook_secrets.erase_old, ApiKey))),
        Sweep("endpoint_secrets", OFTEN, rows(partial(webhook_secrets.erase_old, Endpoint))),
        Sweep("workers", OFTEN, rows(workers.delete_dead)),
        Sweep("receiver_use", SELDOM, rows(receivers.note_use)),
        *(Sweep(each.name, SELDOM, expired_rows(each)) for each in ROWS),
        Sweep("jobs", SELDOM, _jobs),
        Sweep("failures", SELDOM, rows(failures.forget)),
        Sweep(
            "checkpoints",
            SELDOM,
            items(leftovers.ended_checkpoints, leftovers.delete_checkpoints),
        ),
        Sweep("orphans", RARELY, items(leftovers.orphans, leftovers.delete_orphan)),
        Sweep("work", OFTEN, items(leftovers.finished_work, leftovers.delete_work), local=True),
        Sweep(
            "partial",
            SELDOM,
            items(leftovers.unwanted_partials, leftovers.delete_partial),
            local=True,
        ),
        Sweep(
            "listening_work",
            OFTEN,
            items(leftovers.dead_listening, listening.remove),
            local=True,
        ),
        Sweep(
            "heartbeats",
            SELDOM,
            items(leftovers.dead_heartbeats, leftovers.delete_heartbeat),
            local=True,
        ),
    )


def _jobs(run: Run) -> None:
    before = times.now() - timedelta(days=run.context.settings.job_retention_days)
    while run.goes_on():
        found = jobs.forget_ended(before, BATCH)
        run.deleted += found
        if found < BATCH:
            return
