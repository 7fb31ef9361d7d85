"""Attempts at a delivery: claiming it, and recording the outcome. Nothing here commits."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import update
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.tables import ApiKey, Signer
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.kit.outgoing import Answer
from aistemsplitter_server.webhooks import receivers, schedule
from aistemsplitter_server.webhooks.service import DELIVERED, FAILED, PENDING, SUSPENDED
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Endpoint, Event

# Claiming a delivery puts its next attempt off by this much: more than a receiver's 15 s, so that
# the outcome decides in the end, and a delivery whose worker died becomes due again.
LEASE = timedelta(seconds=30)
GONE = 410


def begin(session: Session, delivery_id: str) -> tuple[Delivery, Event, Signer] | None:
    """Claim a due delivery for its next attempt; return it, its event and whose secret signs it.

    An attempt without an outcome, because its worker died, stays in the log as it is. After the
    last attempt of the schedule there is no further one: the delivery has failed.

    Returns:
        None if it is no longer due.
    """
    now = clock(session)
    delivery = session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
    if delivery is None or delivery.next_attempt_at is None or delivery.next_attempt_at > now:
        return None
    if delivery.attempts >= schedule.ATTEMPTS:
        _give_up(delivery, now)
        return None
    if not standing.is_active(session, delivery.account_id):
        _finish(delivery, FAILED, SUSPENDED, now)
        return None
    event = session.get_one(Event, delivery.event_id)
    # Read here: during the attempt the account may be deleted, and its keys with it.
    signer: Signer | None
    if delivery.endpoint_id is None:
        signer = session.get_one(ApiKey, event.key_id)
    else:
        signer = _endpoint(session, delivery, now)
        if signer is None:
            return None
    delivery.attempts += 1
    delivery.next_attempt_at = now + LEASE
    session.add(Attempt(delivery_id=delivery.id, number=delivery.attempts, started_at=now))
    return delivery, event, signer


def _endpoint(session: Session, delivery: Delivery, now: datetime) -> Endpoint | None:
    """Return a delivery's endpoint; None if it is unusable, and then the delivery fails."""
    endpoint = session.get(Endpoint, delivery.endpoint_id)
    if endpoint is None:
        _finish(delivery, FAILED, receivers.ENDPOINT_DELETED, now)
        return None
    if endpoint.disabled_reason is not None:
        _finish(delivery, FAILED, endpoint.disabled_reason, now)
        return None
    delivery.url = endpoint.url  # it may have changed since the last attempt
    return endpoint


def renew(session: Session, delivery_ids: Sequence[str]) -> None:
    """Extend the claims on deliveries that take longer than a claim lasts."""
    query = update(Delivery).where(
        Delivery.id.in_(delivery_ids), Delivery.next_attempt_at.is_not(None)
    )
    session.execute(query.values(next_attempt_at=clock(session) + LEASE))


def record(
    session: Session,
    delivery_id: str,
    number: int,
    outcome: Answer | str,
    *,
    is_final: bool = False,
) -> None:
    """Record the outcome of an attempt, and when the next one is due.

    Args:
        outcome: The receiver's response, or why there was none.
        is_final: Whether another attempt would have the same outcome.
    """
    delivery = session.get(Delivery, delivery_id, with_for_update=True, populate_existing=True)
    if delivery is None:
        return  # its log was deleted in the meantime
    attempt = session.get_one(Attempt, (delivery_id, number))
    if isinstance(outcome, Answer):
        attempt.status, attempt.latency_seconds = outcome.status, outcome.latency
        attempt.excerpt = outcome.excerpt
    else:
        attempt.error = outcome
    if delivery.state != PENDING or delivery.attempts != number:
        return  # a newer attempt has begun
    now = clock(session)
    status = outcome.status if isinstance(outcome, Answer) else 0
    delivered = 200 <= status < 300
    disabled = receivers.note(session, delivery, now, delivered=delivered, gone=status == GONE)
    if delivered:
        _finish(delivery, DELIVERED, None, now)
        return
    if is_final or disabled is not None:
        _finish(delivery, FAILED, disabled or attempt.error, now)
        return
    if status == GONE:
        _finish(delivery, FAILED, "the receiver answered 410 Gone", now)
        return
    retry_after = outcome.retry_after if isinstance(outcome, Answer) else None
    due = schedule.next_attempt(number, retry_after, now)
    attempt.next_attempt_at = delivery.next_attempt_at = due
    if due is None:
        _give_up(delivery, now)


def _give_up(delivery: Delivery, now: datetime) -> None:
    _finish(delivery, FAILED, f"failed after {delivery.attempts} attempts", now)


def _finish(delivery: Delivery, state: str, reason: str | None, now: datetime) -> None:
    delivery.state, delivery.reason = state, reason
    delivery.next_attempt_at, delivery.finished_at = None, now
