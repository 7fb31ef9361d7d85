"""The rules of splits. Nothing here commits; the caller's unit of work does.

queued ─ begin ─▶ processing ─ succeed ─▶ succeeded
   │                  │  ▲ release, retry
   └────── fail ──────┴──────────────────▶ failed, its charge refunded

A worker processes a split under the number of its attempt. Once another attempt has begun, or the
split was cancelled, the attempt is superseded and can no longer change the split.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import limits, standing
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, logs, times
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.models.service import Serving
from aistemsplitter_server.splits import analysis, listening, options, queries, queueing, sizes
from aistemsplitter_server.splits.analysis import Detected
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

ATTEMPTS = 3  # attempts that begin, get no further and do not end; then the split fails
PROGRESS = 0.01  # by which an attempt has to get further than all before it, not to count
RETRY_DELAY = 10.0  # seconds, times the number of the attempt
GAVE_UP = "The split failed after several attempts. It costs nothing."
SUSPENDED = "The account was suspended. The split costs nothing."


class Superseded(Exception):
    """The split has ended, or another attempt has begun, so this attempt must stop."""


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
    """Create a split, charge it if its length is known, and queue it.

    Args:
        source: The measured upload; None for a song that is yet to be fetched.
        filename: The name of the song's file.
        allowed: The account's limits.

    Raises:
        AccountSuspended: The account was suspended since its key was checked.
        InsufficientCredits: The balance does not cover it.
        LimitExceeded: The account has reached one of its limits.
    """
    limits.lock_active(session, caller.account_id)
    limits.check(
        allowed,
        "queued_test_splits" if caller.is_test else "queued_splits",
        lambda: queries.queued(session, caller.account_id, is_test=caller.is_test),
    )
    split = _new(caller, request, source, filename, serving)
    if source is not None:
        measured(session, split, source.duration_seconds or 0.0, source.sample_rate)
    reserve(session, split, allowed)
    split.turn = queueing.next_turn(session, split.account_id, priority)
    session.add(split)
    session.flush()
    queueing.enqueue(session, split)
    return split


def _new(
    caller: Caller, request: CreateSplit, source: Upload | None, filename: str, serving: Serving
) -> Split:
    now = times.now()
    url = request.input.url if source is None and isinstance(request.input, DirectUrl) else None
    return Split(
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
        output=request.output.model_dump() if request.output else None,
        options=request.options.model_dump(by_alias=True) if request.options else None,
        split_metadata=request.metadata or {},
        served_by=serving.model.name,
        filename=filename,
        duration_seconds=0.0,
        credits_used=0,
        warnings=[*serving.warnings],
        request_id=logs.request_id(),
        turn=0,
        attempt=0,
        failures=0,
        progress=0.0,
        stored_bytes=0,
        created_at=now,
        updated_at=now,
    )


def begin(session: Session, split_id: str, worker_id: str) -> Split | None:
    """Begin a new attempt at a split; return None if there is nothing to do.

    A split fails here, and its charge is refunded, if too many attempts have left it unfinished
    without getting further than those before.
    """
    split = claimed(session, split_id, worker_id)
    if split is not None:
        split.status, split.progress = PROCESSING, 0.0
        split.started_at = times.now()
        touch(split)
    return split


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
    detected: Detected | None = None,
) -> None:
    """Mark a split as succeeded. Its stems are those that this attempt has stored.

    Args:
        gain: The factor that all stems were multiplied by.
        stored_bytes: Bytes of all stems.
        detected: Tempo, key and beats, if the song was analysed.

    Raises:
        Superseded: The attempt is superseded.
    """
    split = current(session, split_id, attempt)
    split.status = SUCCEEDED
    split.stored_attempt, split.stored_bytes = attempt, stored_bytes
    split.sample_rate, split.gain = sample_rate, gain
    split.warnings = [*split.warnings, *warnings]
    split.progress = 1.0
    if detected is not None:
        analysis.store(split, detected)
    _end(session, split, retention)
    if listening.is_of_studio(split):
        listening.request(session, split)


def fail(session: Session, split: Split, code: str, message: str) -> None:
    """Mark a split as failed and refund its charge."""
    split.status, split.stored_bytes = FAILED, 0
    split.error_code, split.error_message = code, message
    if credits.refund(session, split.account_id, split.id, f"split failed: {code}"):
        split.credits_used = 0
    _end(session, split, timedelta(0))


def cancel(session: Session, split: Split) -> None:
    """Cancel a split on request. A worker that processes it stops when it notices.

    Raises:
        Conflict: The split has ended already.
    """
    if split.status in TERMINAL:
        raise Conflict(f"The split is already {split.status}.")
    fail(session, split, "CANCELED", "The split was cancelled.")


def retry(session: Session, split_id: str, attempt: int) -> None:
    """Queue another attempt after one that failed through no fault of the song, or give up.

    Raises:
        Superseded: The attempt is superseded.
    """
    split = current(session, split_id, attempt)
    _credit_progress(split)
    if split.failures >= ATTEMPTS:
        fail(session, split, "INTERNAL", GAVE_UP)
        return
    requeue(session, split, delay_seconds=RETRY_DELAY * split.failures)


def postpone(
    session: Session, split_id: str, attempt: int, delay_seconds: float = RETRY_DELAY
) -> None:
    """Queue a split again whose worker lacks something, without counting the attempt.

    Raises:
        Superseded: The attempt is superseded.
    """
    split = current(session, split_id, attempt)
    split.failures -= 1
    requeue(session, split, delay_seconds=delay_seconds)


def hand_back(session: Session, split_id: str) -> None:
    """Queue a split again that a worker has taken, but not begun."""
    split = queries.locked(session, split_id)
    if split is not None and split.status == QUEUED:
        split.attempt += 1  # the job in progress had this number
        requeue(session, split, delay_seconds=RETRY_DELAY)


def release(session: Session, split_id: str, attempt: int) -> None:
    """End an attempt because its worker stops, without counting it.

    A fetch is due again at once. Another job stays with the worker, to be requeued.

    Raises:
        Superseded: The attempt is superseded.
    """
    split = current(session, split_id, attempt)
    split.failures -= 1
    split.status, split.worker_id = QUEUED, None
    if split.fetch_at is not None:
        split.fetch_at = clock(session)
    touch(split)


def requeue_lost(session: Session, lost: Split) -> None:
    """Queue a split again whose job is lost, unless it has changed since it was read."""
    split = queries.locked(session, lost.id)
    if split is None or split.status in TERMINAL:
        return
    if split.revision == lost.revision:
        split.attempt += 1  # the lost job had this number
        requeue(session, split)


def current(session: Session, split_id: str, attempt: int) -> Split:
    """Return the split, locked, for the attempt that processes it.

    Raises:
        Superseded: The attempt is superseded.
    """
    split = queries.locked(session, split_id)
    if split is None or split.status in TERMINAL or split.attempt != attempt:
        raise Superseded
    return split


def claimed(session: Session, split_id: str, worker_id: str) -> Split | None:
    """Return the split, locked, with a new attempt; None if it has ended or ends here."""
    split = queries.locked(session, split_id)
    if split is None or split.status in TERMINAL:
        return None
    if not standing.is_active(session, split.account_id):
        fail(session, split, "CANCELED", SUSPENDED)
        return None
    _credit_progress(split)
    if split.failures >= ATTEMPTS:
        fail(session, split, "INTERNAL", GAVE_UP)
        return None
    split.attempt += 1
    split.failures += 1  # counts as failed until it ends
    split.worker_id = worker_id
    return split


def measured(session: Session, split: Split, seconds: float, sample_rate: int | None) -> None:
    """Set a split's length and charge it."""
    split.duration_seconds, split.sample_rate = seconds, sample_rate
    if not split.is_test:
        price = options.of(split.options).price(seconds)
        credits.charge(session, split.account_id, split.id, price)
        split.credits_used = price


def reserve(session: Session, split: Split, allowed: Limits, song: int = 0) -> None:
    """Count stems that are yet to be made, and a fetched song, as stored already."""
    needed = sizes.of_stems(split) + song
    limits.check(
        allowed,
        "stored_bytes",
        lambda: queries.stored_bytes(session, split.account_id),
        adding=max(1, needed),
    )
    split.stored_bytes = needed


def requeue(session: Session, split: Split, *, delay_seconds: float = 0) -> None:
    """Queue a split again."""
    split.status, split.worker_id, split.progress = QUEUED, None, 0.0
    touch(split)
    queueing.enqueue(session, split, delay_seconds=delay_seconds)


def of_account(
    session: Session,
    account_id: str,
    split_id: str,
    *,
    is_test: bool | None,
    lock: bool = False,
) -> Split:
    """Return a split of the account.

    Args:
        is_test: The mode of the caller's key, which sees only splits of its mode; None for either,
            for people on pages.
        lock: Lock the split until the end of the transaction, to change it.

    Raises:
        NotFound: The account has no such split in this mode.
    """
    split = queries.of_account(session, account_id, split_id, is_test=is_test)
    if split is None:
        raise NotFound(f"There is no split {split_id[:64]}.")
    if lock:
        queries.locked(session, split_id)
    return split


def _credit_progress(split: Split) -> None:
    """Do not count the last attempt as failed if it got further than all before it."""
    if split.progress >= split.furthest + PROGRESS:
        split.furthest = split.progress
        split.failures = max(0, split.failures - 1)


def _end(session: Session, split: Split, retention: timedelta) -> None:
    split.worker_id = split.fetch_at = None
    split.finished_at = times.now()
    split.expires_at = split.finished_at + retention
    touch(split)
    session.flush()
    webhooks.announce(
        session,
        "split.succeeded" if split.status == SUCCEEDED else "split.failed",
        account_id=split.account_id,
        key_id=split.key_id,
        split_id=split.id,
        url=split.webhook_url,
        stems=(split.output or {}).get("stems", {}) if split.status == SUCCEEDED else {},
        is_test=split.is_test,
    )


def touch(split: Split) -> None:
    """Count a visible change of a split."""
    split.revision += 1
    split.updated_at = times.now()
