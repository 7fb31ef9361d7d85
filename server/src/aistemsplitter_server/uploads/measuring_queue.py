"""The queue of uploads that workers measure: the rows with a due time. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.uploads.tables import Upload

LEASE = timedelta(seconds=30)  # of a claim, which its worker renews several times


def add(session: Session, upload: Upload) -> None:
    """Queue an upload whose bytes have arrived, unless it is queued or measured."""
    if upload.measured_at is None and upload.measure_at is None:
        upload.measure_at = clock(session)


def due(
    session: Session, now: datetime, account_id: str, without: Sequence[str], limit: int
) -> Sequence[str]:
    """Return the ids of an account's uploads that are due, the earliest first.

    Args:
        without: Ids to leave out.
    """
    query = select(Upload.id).where(
        Upload.account_id == account_id, Upload.measure_at <= now, Upload.id.not_in(without)
    )
    return session.scalars(query.order_by(Upload.measure_at).limit(limit)).all()


def begin(session: Session, upload_id: str) -> Upload | None:
    """Claim an upload; return None if another worker has, or it need not be measured.

    The claim expires unless it is renewed.
    """
    now = clock(session)
    upload = session.get(Upload, upload_id, with_for_update=True, populate_existing=True)
    if upload is None or upload.measure_at is None or upload.measure_at > now:
        return None
    if upload.deleted_at is not None or upload.measured_at is not None:
        upload.measure_at = None
        return None
    upload.measure_at = now + LEASE
    return upload


def renew(session: Session, upload_ids: Sequence[str]) -> None:
    """Extend the claims on uploads that are being measured."""
    until = clock(session) + LEASE
    query = update(Upload).where(Upload.id.in_(upload_ids), Upload.measure_at.is_not(None))
    session.execute(query.values(measure_at=until))
