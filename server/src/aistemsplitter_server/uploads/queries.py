"""Queries on uploads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, bindparam, func, or_, select, tuple_, update
from sqlalchemy.orm import Session

from aistemsplitter_server.uploads.tables import Upload

# Locked, so that no sweep deletes it while a split begins to use it.
_OF_ACCOUNT = (
    select(Upload)
    .where(
        Upload.id == bindparam("upload_id"),
        Upload.account_id == bindparam("account_id"),
        Upload.is_test == bindparam("is_test"),
        Upload.deleted_at.is_(None),
    )
    .with_for_update(read=True)
)
_IS_SETTLED = or_(Upload.direct_until.is_(None), Upload.stored_at.is_not(None))
_UPLOADS = Upload.__table__.c
# Run with every upload, on the table and built once. The conditions are those of a partial index.
_OPEN = select(func.count()).where(
    _UPLOADS.account_id == bindparam("account_id"),
    _UPLOADS.expires_at > bindparam("now"),
    _UPLOADS.stored_at.is_(None),
    _UPLOADS.deleted_at.is_(None),
)


def of_account(
    session: Session, account_id: str, upload_id: str, *, is_test: bool, to_delete: bool = False
) -> Upload | None:
    """Return an upload of the account, of one mode, that was not deleted.

    It is locked against deletion until the end of the transaction.

    Args:
        to_delete: Lock it for this transaction to delete. Two that raised the weaker lock at the
            same time would deadlock.
    """
    found = {"account_id": account_id, "upload_id": upload_id, "is_test": is_test}
    query = _OF_ACCOUNT.with_for_update() if to_delete else _OF_ACCOUNT
    return session.scalars(query, found).one_or_none()


def open_uploads(session: Session, account_id: str, now: datetime) -> int:
    """Count the account's reserved uploads whose bytes have not all arrived."""
    return int(session.scalars(_OPEN, {"account_id": account_id, "now": now}).one())


def with_key(session: Session, account_id: str, key: str) -> Upload | None:
    """Return the upload that was reserved with this idempotency key, deleted or not."""
    query = select(Upload).where(Upload.account_id == account_id, Upload.idempotency_key == key)
    return session.scalars(query).one_or_none()


def usable(session: Session, upload_id: str) -> Upload | None:
    """Return an upload that was not deleted, locked against deletion until the transaction ends."""
    query = select(Upload).where(Upload.id == upload_id, Upload.deleted_at.is_(None))
    return session.scalars(query.with_for_update(read=True)).one_or_none()


def expired(now: datetime) -> ColumnElement[bool]:
    """Select expired uploads that are not marked as deleted."""
    return and_(Upload.deleted_at.is_(None), Upload.expires_at <= now)


def expired_locked(session: Session, now: datetime, limit: int) -> Sequence[Upload]:
    """Return expired uploads, locked; those that others have locked are skipped.

    Direct uploads are left out until it is known whether their bytes have arrived.
    """
    query = select(Upload).where(expired(now), _IS_SETTLED)
    query = query.order_by(Upload.expires_at).limit(limit)
    query = query.with_for_update(skip_locked=True)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def expired_direct(
    session: Session, now: datetime, after: tuple[datetime, str] | None, limit: int
) -> Sequence[tuple[datetime, str]]:
    """Return time and id of expired direct uploads that were not confirmed, in this order."""
    query = select(Upload.expires_at, Upload.id).where(expired(now), ~_IS_SETTLED)
    if after is not None:
        query = query.where(tuple_(Upload.expires_at, Upload.id) > tuple_(*after))
    rows = session.execute(query.order_by(Upload.expires_at, Upload.id).limit(limit))
    return [(expires_at, upload_id) for expires_at, upload_id in rows]


def unswept(
    session: Session, after: tuple[datetime, str] | None, limit: int
) -> Sequence[tuple[datetime, str]]:
    """Return time and id of uploads marked as deleted whose bytes are not, in this order."""
    query = select(Upload.deleted_at, Upload.id).where(
        Upload.deleted_at.is_not(None), Upload.swept_at.is_(None)
    )
    if after is not None:
        query = query.where(tuple_(Upload.deleted_at, Upload.id) > tuple_(*after))
    rows = session.execute(query.order_by(Upload.deleted_at, Upload.id).limit(limit))
    return [(deleted_at, upload_id) for deleted_at, upload_id in rows if deleted_at is not None]


def set_swept(session: Session, upload_ids: Sequence[str], now: datetime) -> None:
    """Note that the bytes of uploads are deleted."""
    session.execute(update(Upload).where(Upload.id.in_(upload_ids)).values(swept_at=now))
