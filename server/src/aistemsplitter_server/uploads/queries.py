"""The queries on uploads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, exists, select
from sqlalchemy.orm import Session

from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.uploads.tables import Upload

_OF_ACCOUNT = select(Upload).where(
    Upload.id == bindparam("upload_id"),
    Upload.account_id == bindparam("account_id"),
    Upload.deleted_at.is_(None),
)


def of_account(session: Session, account_id: str, upload_id: str) -> Upload | None:
    """An upload of the account that was not deleted."""
    found = {"account_id": account_id, "upload_id": upload_id}
    return session.scalars(_OF_ACCOUNT, found).one_or_none()


def with_key(session: Session, account_id: str, key: str) -> Upload | None:
    """The upload that this Idempotency-Key was used with last, also one that is gone."""
    query = select(Upload).where(Upload.account_id == account_id, Upload.idempotency_key == key)
    return session.scalars(query).one_or_none()


def expired(session: Session, now: datetime, limit: int) -> Sequence[Upload]:
    """Uploads over their time that no split waits for."""
    needed = exists().where(Split.upload_id == Upload.id, Split.status.not_in(TERMINAL))
    query = select(Upload).where(Upload.deleted_at.is_(None), Upload.expires_at < now, ~needed)
    return session.scalars(query.order_by(Upload.expires_at).limit(limit)).all()
