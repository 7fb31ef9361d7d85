"""Files to delete: expired audio, and what killed processes have left behind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from typing import TypeAlias

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import heartbeats, ids, times
from aistemsplitter_server.operations import closing
from aistemsplitter_server.splits import deletion_queries
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.uploads import direct
from aistemsplitter_server.uploads import queries as uploads
from aistemsplitter_server.uploads import service as uploads_service
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker import listening, work_folder
from aistemsplitter_server.worker.context import WorkerContext

PAGE = 200  # rows or names that are read at a time
Place: TypeAlias = tuple[datetime, str]  # time and id of a row
GRACE = timedelta(days=1)  # after its retention time, until a file without a row is deleted


def _paged(
    context: WorkerContext, read: Callable[[Session, Place | None], Sequence[Place]]
) -> Iterator[str]:
    """Yield the ids of all rows of a query, each page in a short transaction of its own.

    Args:
        read: Returns the next page after a place, or the first one.
    """
    after = None
    while True:
        with context.database.read() as session:
            page = read(session, after)
        yield from (row_id for _, row_id in page)
        if len(page) < PAGE:
            return
        after = page[-1]


def closed_accounts(context: WorkerContext) -> Iterator[str]:
    """Yield the accounts whose suspension or deletion is not finished."""
    with context.database.read() as session:
        found = closing.unfinished(session)
    yield from found


def close_account(context: WorkerContext, account_id: str) -> None:
    """Continue to suspend or delete an account."""
    closing.finish(context.database, account_id)


def expired_audio(context: WorkerContext) -> Iterator[str]:
    """Return the splits whose stems have expired."""
    now = times.now()
    return _paged(
        context,
        lambda session, after: deletion_queries.expired_after(session, now, after, PAGE),
    )


def delete_audio(context: WorkerContext, split_id: str) -> None:
    """Delete a split's stems, its listening copies, and its song if that was fetched."""
    try:
        context.storage.delete_prefix(keys.split(split_id))
    finally:
        context.storage.delete_prefix(keys.fetched(split_id))


def expired_direct(context: WorkerContext) -> Iterator[str]:
    """Return the expired direct uploads that have not been confirmed."""
    now = times.now()
    return _paged(context, lambda session, after: uploads.expired_direct(session, now, after, PAGE))


def settle_direct(context: WorkerContext, upload_id: str) -> None:
    """Keep an expired direct upload if its bytes have arrived, and otherwise mark it as deleted."""
    direct.settle(context.database, context.settings, context.storage, upload_id)


def deleted_uploads(context: WorkerContext) -> Iterator[str]:
    """Return the uploads that are marked as deleted and whose bytes are not."""
    return _paged(context, lambda session, after: uploads.unswept(session, after, PAGE))


def delete_upload(context: WorkerContext, upload_id: str) -> None:
    """Delete an upload's bytes, complete or not."""
    with context.database.read() as session:
        upload = session.get_one(Upload, upload_id)
    uploads_service.delete_bytes(context.storage, upload_id)
    if upload.direct_until is not None and times.now() < upload.direct_until:
        direct.block(context.settings, context.storage, upload_id)


def orphans(context: WorkerContext) -> Iterator[str]:
    """Yield the keys of stored files that should be deleted by their row, or that have no row.

    Files without a row are left until they would have expired: a server that was started on another
    database by mistake must not delete everyone's audio.
    """
    retention = timedelta(hours=context.settings.retention_hours)
    before = times.now() - retention - GRACE
    context.storage.tidy(times.now() - GRACE)
    upload_is_over = and_(
        Upload.swept_at.is_not(None),
        # Until then, an empty object keeps the upload's URL from storing one.
        or_(Upload.direct_until.is_(None), Upload.direct_until <= times.now()),
    )
    for prefix, id_column, is_over in (
        (keys.SPLITS, Split.id, Split.swept_at.is_not(None)),
        (keys.FETCHED, Split.id, Split.swept_at.is_not(None)),
        (keys.UPLOADS, Upload.id, upload_is_over),
    ):
        names = context.storage.names(prefix)
        while page := [*islice(names, PAGE)]:
            with context.database.read() as session:
                query = select(id_column, is_over).where(id_column.in_(page))
                known: dict[str, bool] = {row[0]: row[1] for row in session.execute(query)}
            for name in page:
                made = ids.made_at(name)
                if known.get(name, made is not None and made < before):
                    yield f"{prefix}/{name}"


def delete_orphan(context: WorkerContext, key: str) -> None:
    """Delete what is stored under the key."""
    context.storage.delete_prefix(key)


def ended_checkpoints(context: WorkerContext) -> Iterator[str]:
    """Yield the splits that have ended and still have checkpoints."""
    yield from _ended(context, context.storage.names(keys.CHECKPOINTS))


def delete_checkpoints(context: WorkerContext, split_id: str) -> None:
    """Delete a split's checkpoints."""
    context.storage.delete_prefix(keys.checkpoints(split_id))


def finished_work(context: WorkerContext) -> Iterator[str]:
    """Yield the splits that have ended and still have a work folder."""
    yield from _ended(context, iter(work_folder.splits(context.settings.data)))


def _ended(context: WorkerContext, names: Iterator[str]) -> Iterator[str]:
    """Yield those ids whose split has ended, or does not exist."""
    while page := [*islice(names, PAGE)]:
        with context.database.read() as session:
            query = select(Split.id).where(Split.id.in_(page), Split.status.not_in(TERMINAL))
            live = set(session.scalars(query))
        yield from (name for name in page if name not in live)


def delete_work(context: WorkerContext, split_id: str) -> None:
    """Delete a split's work folders."""
    work_folder.remove(context.settings.data, split_id)


def unwanted_partials(context: WorkerContext) -> Iterator[str]:
    """Yield uploads of which a part is stored, and that are complete, deleted or unknown."""
    names = (keys.segments(key)[-1] for key in context.storage.partials())
    while page := [*islice(names, PAGE)]:
        with context.database.read() as session:
            query = select(Upload.id).where(
                Upload.id.in_(page), Upload.stored_at.is_(None), Upload.deleted_at.is_(None)
            )
            live = set(session.scalars(query))
        yield from (name for name in page if name not in live)


def delete_partial(context: WorkerContext, upload_id: str) -> None:
    """Delete the stored part of an upload."""
    context.storage.delete_partial(keys.upload(upload_id))


def dead_listening(context: WorkerContext) -> Iterator[str]:
    """Yield dead workers with a folder for listening copies."""
    yield from listening.left_behind(context)


def dead_heartbeats(context: WorkerContext) -> Iterator[str]:
    """Yield dead processes with a heartbeat file."""
    yield from heartbeats.long_dead(context.settings.data)


def delete_heartbeat(context: WorkerContext, name: str) -> None:
    """Delete a process's heartbeat file."""
    heartbeats.remove(context.settings.data, name)
