"""The queries on uploads."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, exists, select, text
from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import UtcTime
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.uploads.tables import Upload

_OF_ACCOUNT = select(Upload).where(
    Upload.id == bindparam("upload_id"),
    Upload.account_id == bindparam("account_id"),
    Upload.is_test == bindparam("is_test"),
    Upload.deleted_at.is_(None),
)
# In the words of the partial indexes, which hold all that is read. Built once: asked for with
# every upload and every split.
_OPEN = text(
    "SELECT count(*) FROM uploads WHERE account_id = :account_id AND expires_at > :now"
    " AND stored_at IS NULL AND deleted_at IS NULL"
).bindparams(bindparam("now", type_=UtcTime))
_STORED = text(
    "SELECT (SELECT coalesce(sum(content_length), 0) FROM uploads WHERE account_id = :account_id"
    " AND deleted_at IS NULL AND fault_code IS NULL)"
    " + (SELECT coalesce(sum(stored_bytes), 0) FROM splits WHERE account_id = :account_id"
    " AND stored_bytes > 0 AND swept_at IS NULL AND deleted_at IS NULL)"
)


def of_account(
    session: Session, account_id: str, upload_id: str, *, is_test: bool
) -> Upload | None:
    """An upload of the account that was not deleted: either of a test key or not."""
    found = {"account_id": account_id, "upload_id": upload_id, "is_test": is_test}
    return session.scalars(_OF_ACCOUNT, found).one_or_none()


def open_uploads(session: Session, account_id: str, now: datetime) -> int:
    """Count the account's reserved uploads whose bytes have not all arrived."""
    return int(session.scalars(_OPEN, {"account_id": account_id, "now": now}).one())


def stored_bytes(session: Session, account_id: str) -> int:
    """Sum the bytes of the account's uploads, stems and listening copies, reserved ones too."""
    return int(session.scalars(_STORED, {"account_id": account_id}).one())


def with_key(session: Session, account_id: str, key: str) -> Upload | None:
    """The upload that this Idempotency-Key was used with last, also one that is gone."""
    query = select(Upload).where(Upload.account_id == account_id, Upload.idempotency_key == key)
    return session.scalars(query).one_or_none()


def expired(session: Session, now: datetime, limit: int) -> Sequence[Upload]:
    """Uploads over their time that no split waits for."""
    needed = exists().where(Split.upload_id == Upload.id, Split.status.not_in(TERMINAL))
    query = select(Upload).where(Upload.deleted_at.is_(None), Upload.expires_at < now, ~needed)
    return session.scalars(query.order_by(Upload.expires_at).limit(limit)).all()
