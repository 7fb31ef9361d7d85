"""The uploads of an account, for its owner to see and to delete."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.uploads import addresses, service
from aistemsplitter_server.uploads.schemas import UploadFault, UploadInfo
from aistemsplitter_server.uploads.tables import Upload


def page(session: Session, caller: Caller, before: str | None, limit: int) -> Sequence[Upload]:
    """Return uploads of the caller's account and mode that were not deleted, newest first.

    Args:
        before: Return only uploads with smaller ids.
    """
    query = select(Upload).where(
        Upload.account_id == caller.account_id,
        Upload.is_test == caller.is_test,
        Upload.deleted_at.is_(None),
    )
    if before is not None:
        query = query.where(Upload.id < before)
    return session.scalars(query.order_by(Upload.id.desc()).limit(limit)).all()


def delete(
    session: Session,
    caller: Caller,
    upload_id: str,
    needed_by_splits: Callable[[Session, Sequence[str]], Set[str]],
) -> None:
    """Delete an upload of the caller's account and mode. A sweep deletes its bytes.

    Args:
        needed_by_splits: Returns those of some uploads that unfinished splits need.

    Raises:
        NotFound: The account has no such upload.
        Conflict: A split that has not ended needs it.
    """
    # From now on no split can begin to use it.
    upload = service.of_caller(session, caller, upload_id, to_delete=True)
    if needed_by_splits(session, [upload_id]):
        raise Conflict("A split that has not ended needs this upload. Cancel that split first.")
    service.delete(upload, times.now())


def shown(upload: Upload, base_url: str) -> UploadInfo:
    """Return what the API shows of an upload.

    Args:
        base_url: What the service's URLs begin with, for this caller.
    """
    fault = None
    if upload.fault_code is not None:
        fault = UploadFault(code=upload.fault_code, message=upload.fault_message or "")
    return UploadInfo(
        upload_id=upload.id,
        filename=upload.filename,
        content_type=upload.content_type,
        content_length=upload.content_length,
        uploaded=upload.stored_at is not None,
        duration_seconds=upload.duration_seconds,
        sample_rate=upload.sample_rate,
        error=fault,
        created_at=times.to_wire(upload.created_at),
        expires_at=times.to_wire(upload.expires_at),
        audio_url=addresses.to_read(base_url, upload.id),
    )
