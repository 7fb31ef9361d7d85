"""Listening copies: what the player plays of a split. Nothing here commits.

Browsers cannot fetch and play parts of the stems' formats with sample accuracy. So a worker makes a
copy of each stem and of the song, once, in short pieces that are files of their own (see
``worker/cutting.py``). The copies are stored beside the stems and deleted with them. Splits made in
the studio get theirs when they succeed, others when someone first opens the player.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.kit.database import add_if_missing
from aistemsplitter_server.models.catalogue import INSTRUMENTAL, NAMES
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.tables import Listening, Split

QUEUE, LISTEN = "listening", "listen"  # the queue and its job
COPY_QUEUED, COPY_READY, COPY_FAILED = "queued", "ready", "failed"  # states
RETRY_AFTER = timedelta(minutes=1)  # after a failure, until a request for the copies tries again
PERSON = "usr_"  # prefix of the id that stands for a key's where a person made the split


def is_of_studio(split: Split) -> bool:
    """Return whether a person made the split in the studio, who is likely to play it."""
    return split.key_id.startswith(PERSON)


def request(session: Session, split: Split) -> Listening:
    """Return the copies of a split that succeeded; queue them if there are none yet."""
    assert split.stored_attempt is not None
    now = times.now()
    add_if_missing(
        session,
        Listening,
        split_id=split.id,
        attempt=split.stored_attempt,
        state=COPY_QUEUED,
        requested_at=now,
    )
    copy = session.get_one(Listening, split.id, with_for_update=True)
    if copy.state == COPY_FAILED and copy.requested_at < now - RETRY_AFTER:
        copy.state, copy.reason, copy.requested_at = COPY_QUEUED, None, now
    if copy.state == COPY_QUEUED:  # queueing the id of a queued job again changes nothing
        _enqueue(session, copy)
    return copy


def job_id(copy: Listening) -> str:
    """Return the id of the job that makes the copies."""
    return f"{copy.split_id}-{LISTEN}-{int(copy.requested_at.timestamp() * 1000)}"


def requeue_lost(session: Session, lost: Listening) -> None:
    """Queue copies again whose job is lost, unless they have changed since they were read."""
    copy = session.get(Listening, lost.split_id, with_for_update=True)
    if copy is None or (copy.state, copy.requested_at) != (COPY_QUEUED, lost.requested_at):
        return
    if wanted(session, copy.split_id) is None:
        copy.state, copy.reason = COPY_FAILED, "The stems are no longer stored."
    else:
        copy.requested_at = times.now()
        _enqueue(session, copy)


def is_asked_for(copy: Listening, now: datetime) -> bool:
    """Return whether requesting the copies would change nothing, so that reading is enough."""
    return copy.state != COPY_FAILED or copy.requested_at >= now - RETRY_AFTER


def wanted(session: Session, split_id: str) -> Split | None:
    """Return the split whose copies are to be made now; None if they are no longer needed."""
    split, copy = session.get(Split, split_id), session.get(Listening, split_id)
    if split is None or copy is None or copy.state != COPY_QUEUED:
        return None
    if not split.can_be_heard(times.now()):
        return None
    return split if standing.is_active(session, split.account_id) else None


def ready(session: Session, split_id: str, size: int) -> bool:
    """Mark the copies as stored.

    Returns:
        False if the stems were deleted in the meantime; the copies must be deleted too.
    """
    split = queries.locked(session, split_id)
    copy = session.get(Listening, split_id)
    if split is None or copy is None or not split.can_be_heard(times.now()):
        return False
    copy.state, copy.ready_at, copy.reason = COPY_READY, times.now(), None
    split.stored_bytes += size
    return True


def fail(session: Session, split_id: str, reason: str) -> None:
    """Mark the copies as failed, with a reason for people who want to listen."""
    copy = session.get(Listening, split_id)
    if copy is not None and copy.state == COPY_QUEUED:
        copy.state, copy.reason = COPY_FAILED, reason


def _enqueue(session: Session, copy: Listening) -> None:
    jobs.enqueue(session, LISTEN, copy.split_id, queue=QUEUE, job_id=job_id(copy))


def whole(split: Split) -> tuple[str, ...]:
    """Return the stems whose sum is the song; none if a part of it was not asked for."""
    for parts in (NAMES[split.served_by].stems, ("vocals", INSTRUMENTAL)):
        if set(parts) <= set(split.stems):
            return parts
    return ()
