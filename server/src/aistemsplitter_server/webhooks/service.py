"""The rules of webhooks. Nothing here commits; the caller's unit of work does."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.kit import ids, outgoing, times
from aistemsplitter_server.kit.database import add_if_missing, clock
from aistemsplitter_server.kit.errors import Conflict, NotFound, ValidationFailed
from aistemsplitter_server.kit.outgoing import Answer, OutgoingError
from aistemsplitter_server.webhooks import queries, schedule
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Event, Receiver

EventType = Literal["split.succeeded", "split.failed"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)
# Claiming a delivery puts its next attempt off by this much: more than a receiver's 15 s, so that
# the outcome decides in the end, and a delivery whose worker died becomes due again.
LEASE = timedelta(seconds=30)
DISABLED_AFTER = timedelta(days=5)
PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"
GONE = 410
SUSPENDED = "the account was suspended"
ERASED = ""  # the URL of a delivery whose split was deleted


def announce(
    session: Session,
    kind: EventType,
    *,
    account_id: str,
    key_id: str,
    split_id: str,
    url: str | None,
    is_test: bool,
) -> None:
    """Write the event of a split's end, and queue its delivery. A split has one event only.

    Args:
        key_id: The key whose secret signs the delivery.
        url: Where to deliver the event, if anywhere.
        is_test: Whether the key is a test key.
    """
    if session.scalars(select(Event.id).where(Event.split_id == split_id)).first():
        return
    event = Event(
        id=ids.new("evt"),
        account_id=account_id,
        key_id=key_id,
        split_id=split_id,
        type=kind,
        created_at=times.now(),
    )
    session.add(event)
    session.flush()
    if url is not None:
        send(session, event, url, is_test=is_test)


def send_test(
    session: Session, account_id: str, key_id: str, url: str, kind: EventType
) -> tuple[Delivery, Event]:
    """Send a sample event to a URL, signed with the key's secret. It is delivered like any event.

    Raises:
        NotFound: The account has no such key.
        Conflict: The key is revoked or expired.
        ValidationFailed: Requests to that URL are not allowed.
    """
    key = accounts.known_key(session, account_id, key_id)
    if key.is_over(times.now()):
        raise Conflict("This key is revoked or expired.")
    try:
        outgoing.check(url)
    except OutgoingError as error:
        raise ValidationFailed([("url", str(error))]) from None
    event = Event(
        id=ids.new("evt"),
        account_id=account_id,
        key_id=key.id,
        split_id=ids.new("split"),
        type=kind,
        test=True,
        created_at=times.now(),
    )
    session.add(event)
    session.flush()
    return send(session, event, url, is_test=key.is_test), event


def send(session: Session, event: Event, url: str, *, is_test: bool) -> Delivery:
    """Add a delivery of an event, due now. To a disabled receiver a live one fails at once."""
    receiver = None if is_test else session.get(Receiver, (event.account_id, url))
    disabled = receiver.disabled_reason if receiver is not None else None
    if not standing.is_active(session, event.account_id):
        disabled = SUSPENDED
    now = clock(session)
    delivery = Delivery(
        id=ids.new("dlv"),
        account_id=event.account_id,
        event_id=event.id,
        url=url,
        is_test=is_test,
        state=FAILED if disabled else PENDING,
        reason=disabled,
        attempts=0,
        created_at=now,
        next_attempt_at=None if disabled else now,
        finished_at=now if disabled else None,
    )
    session.add(delivery)
    session.flush()
    return delivery


def known(
    session: Session, account_id: str | None, delivery_id: str, *, is_test: bool | None
) -> tuple[Delivery, Event]:
    """Return a delivery and its event.

    Args:
        account_id: The account; None for the operator, who may see all deliveries.
        is_test: The mode of its split's key; None for either, for people.

    Raises:
        NotFound: The account has no such delivery in this mode.
    """
    found = queries.one(session, account_id, delivery_id)
    if found is None or is_test not in (None, found[0].is_test):
        raise NotFound(f"There is no delivery {delivery_id[:64]}.")
    return found


def replay(
    session: Session, account_id: str | None, delivery_id: str, *, is_test: bool | None
) -> tuple[Delivery, Event]:
    """Deliver the same event again. A live one enables a disabled receiver.

    Raises:
        NotFound: See ``known``.
        Conflict: Its split was deleted.
    """
    before, event = known(session, account_id, delivery_id, is_test=is_test)
    if before.url == ERASED:
        raise Conflict("The split of this delivery was deleted, and its URL with it.")
    receiver = session.get(Receiver, (before.account_id, before.url))
    if receiver is not None and not before.is_test:
        _clear(receiver)
        session.flush()
    return send(session, event, before.url, is_test=before.is_test), event


def enable(session: Session, account_id: str, url: str) -> None:
    """Enable a disabled receiver.

    Raises:
        NotFound: The account has never sent anything to this URL.
    """
    receiver = session.get(Receiver, (account_id, url), with_for_update=True)
    if receiver is None:
        raise NotFound("Nothing was ever sent to this URL.")
    _clear(receiver)


def erase(session: Session, split_id: str) -> bool:
    """Erase URL and responses of a deleted split's deliveries; return False if some are pending."""
    deliveries = queries.of_split(session, split_id)
    ended = [delivery for delivery in deliveries if delivery.finished_at is not None]
    for delivery in ended:
        delivery.url = ERASED
    queries.erase_answers(session, [delivery.id for delivery in ended])
    return len(ended) == len(deliveries)


def note_use(session: Session, now: datetime, limit: int) -> int:
    """Start the retention time of receivers without a time of use; return how many."""
    found = queries.unused_receivers(session, limit)
    for receiver in found:
        receiver.used_at = now
    return len(found)


def begin(session: Session, delivery_id: str) -> tuple[Delivery, Event, ApiKey] | None:
    """Claim a due delivery for its next attempt; return it, its event and the key that signs it.

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
    delivery.attempts += 1
    delivery.next_attempt_at = now + LEASE
    attempt = Attempt(delivery_id=delivery.id, number=delivery.attempts, started_at=now)
    session.add(attempt)
    event = session.get_one(Event, delivery.event_id)
    # Read here: during the attempt the account may be deleted, and its keys with it.
    return delivery, event, session.get_one(ApiKey, event.key_id)


def record(session: Session, delivery_id: str, number: int, outcome: Answer | str) -> None:
    """Record the outcome of an attempt, and when the next one is due.

    Args:
        outcome: The receiver's response, or why there was none.
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
    delivered = isinstance(outcome, Answer) and 200 <= outcome.status < 300
    # Deliveries of test keys must not disable a receiver of live ones, or enable it again.
    disabled = None if delivery.is_test else _note(session, delivery, now, delivered=delivered)
    if delivered:
        _finish(delivery, DELIVERED, None, now)
        return
    if disabled is not None:
        _finish(delivery, FAILED, disabled, now)
        return
    if isinstance(outcome, Answer) and outcome.status == GONE:
        _finish(delivery, FAILED, "the receiver answered 410 Gone", now)
        return
    retry_after = outcome.retry_after if isinstance(outcome, Answer) else None
    due = schedule.next_attempt(number, retry_after, now)
    attempt.next_attempt_at = delivery.next_attempt_at = due
    if due is None:
        _give_up(delivery, now)


def _note(session: Session, delivery: Delivery, now: datetime, *, delivered: bool) -> str | None:
    """Note an outcome at the delivery's receiver; return the reason if that is disabled now."""
    key = {"account_id": delivery.account_id, "url": delivery.url}
    add_if_missing(session, Receiver, **key)
    receiver = session.get_one(Receiver, tuple(key.values()), with_for_update=True)
    receiver.used_at = now
    if delivered:
        _clear(receiver)
        return None
    receiver.failing_since = receiver.failing_since or now
    if now - receiver.failing_since >= DISABLED_AFTER:
        receiver.disabled_at = now
        receiver.disabled_reason = "disabled: all deliveries to it failed for 5 days"
    return receiver.disabled_reason


def _clear(receiver: Receiver) -> None:
    receiver.failing_since = receiver.disabled_at = receiver.disabled_reason = None


def _give_up(delivery: Delivery, now: datetime) -> None:
    _finish(delivery, FAILED, f"failed after {delivery.attempts} attempts", now)


def _finish(delivery: Delivery, state: str, reason: str | None, now: datetime) -> None:
    delivery.state, delivery.reason = state, reason
    delivery.next_attempt_at, delivery.finished_at = None, now
