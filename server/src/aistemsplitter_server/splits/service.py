"""The rules of splits. Nothing here commits; the caller's unit of work does.

queued ─ begin ─▶ processing ─ succeed ─▶ succeeded
   │                  │  ▲ release, retry
   └────── fail ──────┴──────────────────▶ failed, its charge given back

Whoever works on a split holds the number of its attempt. When another has begun since, or the
split was cancelled, nothing that it does to the split has an effect any more: it is superseded.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import limits, standing
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.models.service import Serving
from aistemsplitter_server.splits import listening, queries, queueing, sizes
from aistemsplitter_server.splits.schemas import CreateSplit, DirectUrl, Priority
from aistemsplitter_server.splits.tables import (
    FAILED,
    PROCESSING,
    QUEUED,
    SUCCEEDED,
    TERMINAL,
    Split,
)
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.webhooks import service as webhooks

ATTEMPTS = 3  # begun and not brought to an end; then it fails
# A claim of a song that is being fetched; its worker renews it several times meanwhile.
FETCH_LEASE = timedelta(seconds=30)
# Bytes in a second of the densest audio: 8 channels of 32 bits at 192 kHz. Other files last longer
# than their size divided by this, unless most of it is no audio.
DENSEST = 8 * 4 * 192_000
RETRY_DELAY = 10.0  # seconds, times the number of the attempt
GAVE_UP = "The split could not be finished, though it was tried again. It costs nothing."
SUSPENDED = "The account was suspended. The split costs nothing."


class Superseded(Exception):
    """The split has ended, or another attempt has begun: what this one does is of no use."""


def create(
    session: Session,
    caller: Caller,
    request: CreateSplit,
    *,
    source: Upload | None,
    filename: str,
    serving: Serving,
    priority: Priority,
    allowed: Limits,
) -> Split:
    """A new split: charged where its length is known, and in the queue.

    Args:
        source: the measured upload; None for a song that is yet to be fetched.
        filename: what the song is called.
        allowed: the account's limits.

    Raises:
        AccountSuspended: the account is, since its key was checked.
        InsufficientCredits: the balance does not cover it.
        LimitExceeded: the account has reached one of its limits.
    """
    limits.hold_active(session, caller.account_id)
    waiting = queries.queued(session, caller.account_id, is_test=caller.is_test)
    limits.check(allowed, "queued_test_splits" if caller.is_test else "queued_splits", waiting)
    now = times.now()
    url = request.input.url if source is None and isinstance(request.input, DirectUrl) else None
    split = Split(
        id=ids.new("split"),
        account_id=caller.account_id,
        key_id=caller.key_id,
        is_test=caller.is_test,
        status=QUEUED,
        revision=1,
        stem_model=request.stem_model,
        output_format=request.output_format,
        stems=request.wanted,
        upload_id=source and source.id,
        input_url=url,
        webhook_url=request.webhook_url,
        split_metadata=request.metadata or {},
        served_by=serving.model.name,
        filename=filename,
        duration_seconds=0.0,
        credits_used=0,
        warnings=[*serving.warnings],
        turn=0,
        attempt=0,
        failures=0,
        progress=0.0,
        stored_bytes=0,
        created_at=now,
        updated_at=now,
    )
    if source is not None:
        _measured(session, split, source.duration_seconds or 0.0, source.sample_rate)
    _reserve(session, split, allowed)
    split.turn = queueing.next_turn(session, split.account_id, priority)
    session.add(split)
    session.flush()
    queueing.enqueue(session, split)
    return split


def begin(session: Session, split_id: str, worker_id: str) -> Split | None:
    """Take a split up, as its newest attempt; None when there is nothing to do any more.

    A split that too many attempts have left behind fails here, with its charge given back.
    """
    split = _taken_up(session, split_id, worker_id)
    if split is not None:
        split.status, split.progress = PROCESSING, 0.0
        split.started_at = times.now()
        _touch(split)
    return split


def begin_fetch(session: Session, split_id: str, worker_id: str) -> Split | None:
    """Claim a song that is to be fetched; None if it is not, or another worker fetches it.

    The split still counts as queued. A claim runs out unless it is renewed.
    """
    now = times.now()
    split = queries.locked(session, split_id)
    if split is None or split.fetch_at is None or split.fetch_at > now:
        return None
    split = _taken_up(session, split_id, worker_id)
    if split is not None:
        split.fetch_at = now + FETCH_LEASE
    return split


def announce_size(session: Session, split_id: str, attempt: int, size: int | None) -> None:
    """Reserve what a song that is being fetched costs at least.

    Args:
        size: bytes, as its server announces them; None if it does not.

    Raises:
        InsufficientCredits: the balance does not cover it.
        Superseded: see above.
    """
    split = current(session, split_id, attempt)
    if not split.is_test:
        credits.reserve(session, split.account_id, split.id, max(1, (size or 0) // DENSEST))


def fetched(
    session: Session,
    split_id: str,
    attempt: int,
    duration_seconds: float,
    sample_rate: int,
    *,
    size: int,
    allowed: Limits,
) -> None:
    """A song was fetched and measured: charge it and queue its separation.

    Args:
        size: bytes of the song, which is stored until it is split.
        allowed: the account's limits.

    Raises:
        InsufficientCredits: the balance does not cover it.
        LimitExceeded: the account has no room for it.
        Superseded: see above.
    """
    split = current(session, split_id, attempt)
    limits.hold(session, split.account_id)
    _measured(session, split, duration_seconds, sample_rate)
    _reserve(session, split, allowed, size)
    split.attempt += 1  # so that no other attempt to fetch it passes for the newest
    split.failures = 0
    _requeue(session, split)


def succeed(
    session: Session,
    split_id: str,
    attempt: int,
    *,
    sample_rate: int,
    warnings: Sequence[str],
    retention: timedelta,
    gain: float = 1.0,
    stored_bytes: int = 0,
) -> None:
    """The stems of this attempt, multiplied with ``gain``, are stored: they are the split's.

    Args:
        stored_bytes: of all stems.

    Raises:
        Superseded: see above.
    """
    split = current(session, split_id, attempt)
    split.status = SUCCEEDED
    split.stored_attempt, split.stored_bytes = attempt, stored_bytes
    split.sample_rate, split.gain = sample_rate, gain
    split.warnings = [*split.warnings, *warnings]
    split.progress = 1.0
    _end(session, split, retention)
    if listening.is_of_studio(split):
        listening.request(session, split)


def fail(session: Session, split: Split, code: str, message: str) -> None:
    """Bring a split to its end without stems; what was charged is given back."""
    split.status, split.stored_bytes = FAILED, 0
    split.error_code, split.error_message = code, message
    if credits.refund(session, split.account_id, split.id, f"split failed: {code}"):
        split.credits_used = 0
    _end(session, split, timedelta(0))


def cancel(session: Session, split: Split) -> None:
    """Bring a split to its end on request; a worker that is at it stops when it sees that.

    Raises:
        Conflict: it has ended already.
    """
    if split.status in TERMINAL:
        raise Conflict(f"The split is already {split.status}.")
    fail(session, split, "CANCELED", "The split was cancelled.")


def retry(session: Session, split_id: str, attempt: int) -> None:
    """An attempt went wrong through no fault of the song: another one later, or the end.

    Raises:
        Superseded: see above.
    """
    split = current(session, split_id, attempt)
    if split.failures >= ATTEMPTS:
        fail(session, split, "INTERNAL", GAVE_UP)
        return
    _requeue(session, split, delay_seconds=RETRY_DELAY * split.failures)


def release(session: Session, split_id: str, attempt: int) -> None:
    """Its worker stops: the attempt does not count. A fetch is due again at once; another job is
    still the worker's, to be handed on.

    Raises:
        Superseded: see above.
    """
    split = current(session, split_id, attempt)
    split.failures -= 1
    split.status, split.worker_id = QUEUED, None
    if split.fetch_at is not None:
        split.fetch_at = times.now()
    _touch(split)


def requeue_lost(session: Session, lost: Split) -> None:
    """Queue a split again whose job is gone, unless it has changed since it was read."""
    split = queries.locked(session, lost.id)
    if split is None or split.status in TERMINAL:
        return
    if split.revision == lost.revision:
        split.attempt += 1  # the job that is lost had this number
        _requeue(session, split)


def delete(session: Session, split: Split) -> None:
    """Hide a split from its owner and erase what is personal; cancel it if it has not ended.

    Ids, durations and the ledger stay. A sweep deletes its audio and its song, unless the song was
    uploaded and another split is of the same upload.
    """
    if split.status not in TERMINAL:
        cancel(session, split)
    split.deleted_at = times.now()
    split.expires_at = split.deleted_at
    if split.upload_id is not None and not queries.shares_upload(session, split):
        upload = session.get(Upload, split.upload_id)
        if upload is not None:
            upload.expires_at = split.deleted_at
    _touch(split)
    erase(session, split)


def erase(session: Session, split: Split) -> None:
    """Erase names, addresses and metadata of a deleted split, in what refers to it too.

    A delivery that is on its way still needs its address: the erasure is complete, and noted as
    such, when none is.
    """
    split.filename, split.input_url, split.webhook_url = "", None, None
    split.split_metadata, split.warnings, split.error_message = {}, [], None
    queries.delete_shares(session, split.id)
    if webhooks.erase(session, split.id):
        split.erased_at = times.now()


def erase_deleted(session: Session, _now: datetime, limit: int) -> int:
    """Complete the erasure of deleted splits; return how many were considered."""
    found = queries.unerased_held(session, limit)
    for split in found:
        erase(session, split)
    return len(found)


def current(session: Session, split_id: str, attempt: int) -> Split:
    """The split, held, for the attempt that works on it.

    Raises:
        Superseded: see above.
    """
    split = queries.locked(session, split_id)
    if split is None or split.status in TERMINAL or split.attempt != attempt:
        raise Superseded
    return split


def of_account(
    session: Session,
    account_id: str,
    split_id: str,
    *,
    is_test: bool | None,
    hold: bool = False,
) -> Split:
    """A split of the account.

    Args:
        is_test: a test key sees splits of test keys only, a live key all others; None: both, for
            people on pages.
        hold: till the end of the transaction, to change it.

    Raises:
        NotFound: there is none, or it is another account's or of the other mode.
    """
    split = queries.of_account(session, account_id, split_id, is_test=is_test)
    if split is None:
        raise NotFound(f"There is no split {split_id[:64]}.")
    if hold:
        queries.locked(session, split_id)
    return split


def _taken_up(session: Session, split_id: str, worker_id: str) -> Split | None:
    split = queries.locked(session, split_id)
    if split is None or split.status in TERMINAL:
        return None
    if not standing.is_active(session, split.account_id):
        fail(session, split, "CANCELED", SUSPENDED)
        return None
    if split.failures >= ATTEMPTS:
        fail(session, split, "INTERNAL", GAVE_UP)
        return None
    split.attempt += 1
    split.failures += 1  # so it counts until its end says otherwise
    split.worker_id = worker_id
    return split


def _measured(session: Session, split: Split, seconds: float, sample_rate: int | None) -> None:
    split.duration_seconds, split.sample_rate = seconds, sample_rate
    if not split.is_test:
        price = max(1, math.ceil(seconds))
        credits.charge(session, split.account_id, split.id, price)
        split.credits_used = price


def _reserve(session: Session, split: Split, allowed: Limits, song: int = 0) -> None:
    """Count the stems to come, and a song that was fetched, as stored already."""
    needed = sizes.of_stems(split) + song
    stored = queries.stored_bytes(session, split.account_id)
    limits.check(allowed, "stored_bytes", stored, adding=max(1, needed))
    split.stored_bytes = needed


def _requeue(session: Session, split: Split, *, delay_seconds: float = 0) -> None:
    split.status, split.worker_id, split.progress = QUEUED, None, 0.0
    _touch(split)
    queueing.enqueue(session, split, delay_seconds=delay_seconds)


def _end(session: Session, split: Split, retention: timedelta) -> None:
    split.worker_id = split.fetch_at = None
    split.finished_at = times.now()
    split.expires_at = split.finished_at + retention
    _touch(split)
    session.flush()
    webhooks.announce(
        session,
        "split.succeeded" if split.status == SUCCEEDED else "split.failed",
        account_id=split.account_id,
        key_id=split.key_id,
        split_id=split.id,
        url=split.webhook_url,
        is_test=split.is_test,
    )


def _touch(split: Split) -> None:
    split.revision += 1
    split.updated_at = times.now()
