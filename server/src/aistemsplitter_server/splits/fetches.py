"""The rules of splits whose song is fetched from a URL. Nothing here commits.

A worker claims the song, reserves what it will cost at least, and once it is measured charges it.
Until then the split counts as queued.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import limits
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.splits import options, queries, service
from aistemsplitter_server.splits.tables import Split

LEASE = timedelta(seconds=30)  # of a claim, which its worker renews several times
# Bytes in a second of the densest audio: 8 channels of 32 bits at 192 kHz. A file lasts at least
# its size divided by this, unless most of it is not audio.
DENSEST = 8 * 4 * 192_000


def begin(session: Session, split_id: str, worker_id: str) -> Split | None:
    """Claim a song that is to be fetched; return None if another worker has or it is not needed.

    The claim expires unless it is renewed.
    """
    now = clock(session)
    split = queries.locked(session, split_id)
    if split is None or split.fetch_at is None or split.fetch_at > now:
        return None
    split = service.claimed(session, split_id, worker_id)
    if split is not None:
        split.fetch_at = now + LEASE
    return split


def announce_size(session: Session, split_id: str, attempt: int, size: int | None) -> None:
    """Reserve the least that a song being fetched will cost.

    Args:
        size: Bytes, from the response's ``Content-Length``; None if it has none.

    Raises:
        InsufficientCredits: The balance does not cover it.
        Superseded: The attempt is superseded.
    """
    split = service.current(session, split_id, attempt)
    if not split.is_test:
        least = options.of(split.options).price((size or 0) // DENSEST)
        credits.reserve(session, split.account_id, split.id, least)


def finish(
    session: Session,
    split_id: str,
    attempt: int,
    duration_seconds: float,
    sample_rate: int,
    *,
    size: int,
    allowed: Limits,
) -> None:
    """Charge a song that was fetched and measured, and queue its separation.

    Args:
        size: Bytes of the song, which is stored until it is split.
        allowed: The account's limits.

    Raises:
        InsufficientCredits: The balance does not cover it.
        LimitExceeded: The account has no room for it.
        Superseded: The attempt is superseded.
    """
    split = service.current(session, split_id, attempt)
    limits.lock(session, split.account_id)
    service.measured(session, split, duration_seconds, sample_rate)
    service.reserve(session, split, allowed, size)
    split.attempt += 1  # supersedes other attempts to fetch it
    split.failures = 0
    service.requeue(session, split)
