"""The rules of uploads: reserved first, then stored, then measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from datetime import datetime, timedelta
from pathlib import PurePosixPath

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import limits
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.kit import filenames, ids, times
from aistemsplitter_server.kit.errors import (
    Conflict,
    IdempotencyInProgress,
    IdempotencyMismatch,
    NotFound,
    PayloadTooLarge,
)
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import BUSY, Storage
from aistemsplitter_server.uploads import addresses, measuring_queue, queries
from aistemsplitter_server.uploads.schemas import ReserveUpload
from aistemsplitter_server.uploads.tables import Upload

LONGEST_NAME = 200  # characters
GONE = "This upload no longer exists."
SLOWEST = 32 << 10  # bytes per second: 2 GiB in 18 hours
# after a connection drops, the upload can be resumed for this long
EXTENSION = timedelta(minutes=15)
KEPT_LONGER = timedelta(hours=1)

StoredBytes = Callable[[Session, str], int]  # of an account, by its id


def reserve(
    session: Session,
    settings: Settings,
    caller: Caller,
    request: ReserveUpload,
    *,
    stored_bytes: StoredBytes,
    key: str | None = None,
    direct: bool = False,
) -> Upload:
    """Reserve an upload of one file; with a key that was used before, return the same upload.

    Args:
        stored_bytes: Counts what the account stores, the stems of its splits included. It is
            called once the account is held.
        key: The request's idempotency key.
        direct: Whether the client sends the bytes to the storage itself.

    Raises:
        PayloadTooLarge: The file is over the server's limit.
        LimitExceeded: The account has reached one of its limits.
        IdempotencyMismatch: The key was used with another file.
        IdempotencyInProgress: A request with this key is still running.
    """
    if request.content_length > settings.upload_limit:
        raise PayloadTooLarge(settings.upload_limit)
    key = caller.scoped(key)
    now = times.now()
    until = now + timedelta(seconds=settings.upload_url_seconds)
    if key is not None and (before := _reserved(session, caller, request, key, direct=direct)):
        if before.direct_until is not None and before.stored_at is None:
            _renew(before, until)
        return before
    limits.lock_active(session, caller.account_id)
    allowed = limits.limits_of(session, settings, caller.account_id)
    account_id = caller.account_id
    limits.check(allowed, "open_uploads", lambda: queries.open_uploads(session, account_id, now))
    limits.check(
        allowed,
        "stored_bytes",
        lambda: stored_bytes(session, account_id),
        adding=request.content_length,
    )
    upload = Upload(
        id=ids.new("upl"),
        account_id=caller.account_id,
        key_id=caller.key_id,
        is_test=caller.is_test,
        idempotency_key=key,
        filename=display_name(request.filename),
        content_type=request.content_type,
        content_length=request.content_length,
        created_at=now,
        expires_at=until,
    )
    if direct:
        _renew(upload, until)
    session.add(upload)
    try:
        session.flush()
    except IntegrityError:  # on Postgres, two requests can insert at once
        raise IdempotencyInProgress from None
    return upload


def _reserved(
    session: Session, caller: Caller, request: ReserveUpload, key: str, *, direct: bool
) -> Upload | None:
    """Return the upload of this key if it can still be used; otherwise free the key."""
    upload = queries.with_key(session, caller.account_id, key)
    if upload is None:
        return None
    session.refresh(upload, with_for_update=True)
    if upload.deleted_at is not None or upload.expires_at <= times.now():
        upload.idempotency_key = None
        session.flush()
        return None
    asked = (display_name(request.filename), request.content_type, request.content_length)
    if asked != (upload.filename, upload.content_type, upload.content_length):
        raise IdempotencyMismatch
    if upload.direct_until is not None and not direct and upload.stored_at is None:
        raise IdempotencyMismatch  # this client cannot send the bytes there
    return upload


def _renew(upload: Upload, until: datetime) -> None:
    """Let the URL of a direct upload work until that time.

    The upload expires later: nothing extends its time while the bytes arrive, so it has to cover
    the slowest client that is allowed.
    """
    upload.direct_until = until
    upload.expires_at = until + _longest(upload.content_length)


def extend(session: Session, settings: Settings, upload_id: str, ahead: int = 0) -> datetime:
    """Extend the permission to write an upload whose bytes are arriving; return when it ends.

    It ends at the latest when a file that was begun at the last moment, at ``SLOWEST``, is
    complete.

    Args:
        ahead: Bytes that may arrive before this is called again.

    Raises:
        NotFound: The upload was deleted.
    """
    upload = _locked(session, upload_id)
    begun = upload.created_at + timedelta(seconds=settings.upload_url_seconds)
    latest = begun + _longest(upload.content_length)
    upload.expires_at = max(upload.expires_at, min(times.now() + _longest(ahead), latest))
    return upload.expires_at


def slowest(length: int) -> timedelta:
    """Return the time in which the slowest client that is allowed sends so many bytes."""
    return timedelta(seconds=length / SLOWEST)


def _longest(content_length: int) -> timedelta:
    """Return how long after its last moment to begin an upload may arrive."""
    return slowest(content_length) + EXTENSION


def claim(session: Session, upload_id: str, before: str | None, token: str) -> None:
    """Record under which token an upload is being received, in place of the one before.

    Of two requests that send the same upload, so only one can store it.

    Raises:
        NotFound: The upload was deleted.
        Conflict: It is stored, or received under another token.
    """
    upload = _locked(session, upload_id)
    if upload.stored_at is not None or upload.partial_token != before:
        raise Conflict(BUSY)
    upload.partial_token = token


def stored(session: Session, settings: Settings, upload_id: str, token: str | None) -> Upload:
    """Mark an upload as stored. From now on its retention time counts.

    Args:
        token: That under which it was received.

    Raises:
        NotFound: The upload was deleted.
        Conflict: It has been stored, or is received under another token.
    """
    upload = _locked(session, upload_id)
    if upload.stored_at is not None or upload.partial_token != token:
        raise Conflict(BUSY)
    _set_stored(settings, upload)
    return upload


def confirm(session: Session, settings: Settings, upload_id: str) -> None:
    """Mark a direct upload as stored, unless it is, and queue its measurement.

    From now on its retention time counts.

    Raises:
        NotFound: The upload was deleted.
    """
    upload = _locked(session, upload_id)
    if upload.stored_at is None:
        _set_stored(settings, upload)
    measuring_queue.add(session, upload)


def give_up(session: Session, upload_id: str) -> None:
    """Mark a direct upload as deleted, unless it is stored.

    Raises:
        NotFound: The upload was deleted.
    """
    upload = _locked(session, upload_id)
    if upload.stored_at is None:
        delete(upload, times.now())


def not_arrived(upload: Upload) -> str:
    """Return the message about an upload that is not complete."""
    return f"The bytes of {upload.id} have not arrived: upload them first."


def _set_stored(settings: Settings, upload: Upload) -> None:
    upload.stored_at = times.now()
    upload.expires_at = upload.stored_at + timedelta(hours=settings.retention_hours)


def of_caller(
    session: Session, caller: Caller, upload_id: str, *, to_delete: bool = False
) -> Upload:
    """Return an upload of the caller's account and mode.

    Args:
        to_delete: See :func:`queries.of_account`.

    Raises:
        NotFound: The account has no such upload.
    """
    upload = queries.of_account(
        session, caller.account_id, upload_id, is_test=caller.is_test, to_delete=to_delete
    )
    if upload is None:
        raise NotFound(f"There is no upload {upload_id}.")
    return upload


def by_audio_url(session: Session, caller: Caller, url: str) -> Upload | None:
    """Return the upload of the caller's account and mode that a URL names, if it is one of ours."""
    upload_id = addresses.id_in(url)
    if upload_id is None:
        return None
    return queries.of_account(session, caller.account_id, upload_id, is_test=caller.is_test)


def display_name(filename: str) -> str:
    """Return the name of a file for people to read: without folders and invisible characters."""
    name = PurePosixPath(filename.replace("\\", "/")).name
    return filenames.visible(name)[:LONGEST_NAME].strip() or "audio"


def expire(
    needed_by_splits: Callable[[Session, Sequence[str]], Set[str]],
    session: Session,
    now: datetime,
    limit: int,
) -> int:
    """Mark expired uploads as deleted; return how many were considered.

    An upload that a split still needs is kept for another hour at a time. No split can use an
    upload that is marked, so its bytes can be deleted from then on.

    Args:
        needed_by_splits: Returns those of some uploads that unfinished splits need.
        limit: Uploads to consider at most.
    """
    found = queries.expired_locked(session, now, limit)
    needed = needed_by_splits(session, [upload.id for upload in found])
    for upload in found:
        if upload.id in needed:
            upload.expires_at = now + KEPT_LONGER
        else:
            delete(upload, now)
    return len(found)


def delete(upload: Upload, now: datetime) -> None:
    """Mark an upload as deleted and erase its names. A sweep deletes its bytes."""
    upload.deleted_at = now
    upload.filename, upload.idempotency_key, upload.fault_message = "", None, None


def delete_bytes(storage: Storage, upload_id: str) -> None:
    """Delete the bytes of an upload that is marked as deleted.

    Raises:
        OSError: They cannot be deleted now.
    """
    storage.delete_partial(keys.upload(upload_id))
    storage.delete_prefix(keys.upload(upload_id))


def _locked(session: Session, upload_id: str) -> Upload:
    upload = session.get(Upload, upload_id, with_for_update=True, populate_existing=True)
    if upload is None or upload.deleted_at is not None:
        raise NotFound(GONE)
    return upload
