"""Deleting splits, and erasing personal data from them. Nothing here commits."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import deletion_queries, queries, service
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.webhooks import service as webhooks


def delete(session: Session, split: Split) -> None:
    """Delete a split: cancel it if it has not ended, hide it, and erase personal data.

    Ids, durations and the ledger stay. A sweep deletes its audio, and its upload unless another
    split uses it.
    """
    if split.status not in TERMINAL:
        service.cancel(session, split)
    split.deleted_at = times.now()
    split.expires_at = split.deleted_at
    if split.upload_id is not None and not queries.shares_upload(session, split):
        upload = session.get(Upload, split.upload_id)
        if upload is not None:
            upload.expires_at = split.deleted_at
    service.touch(split)
    erase(session, split)


def erase(session: Session, split: Split) -> None:
    """Erase names, URLs and metadata of a deleted split, also from rows that refer to it.

    A pending delivery still needs its URL. The erasure is complete, and noted as such, once no
    delivery is pending.
    """
    split.filename, split.input_url, split.webhook_url = "", None, None
    split.split_metadata, split.warnings, split.error_message = {}, [], None
    split.output = None
    split.analysis = split.grid = None
    deletion_queries.delete_shares(session, split.id)
    deletion_queries.delete_player_states(session, split.id)
    if webhooks.erase(session, split.id):
        split.erased_at = times.now()


def erase_deleted(session: Session, _now: datetime, limit: int) -> int:
    """Complete the erasure of deleted splits; return how many were considered."""
    found = deletion_queries.unerased_locked(session, limit)
    for split in found:
        erase(session, split)
    return len(found)
