"""The rules of webhooks. Nothing here commits; the caller's unit of work does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts import standing
from aistemsplitter_server.kit import ids, outgoing, times
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.kit.errors import Conflict, NotFound, ValidationFailed
from aistemsplitter_server.kit.outgoing import OutgoingError
from aistemsplitter_server.webhooks import endpoints, queries, receivers
from aistemsplitter_server.webhooks.tables import Delivery, Endpoint, Event, EventType

PENDING, DELIVERED, FAILED = "pending", "delivered", "failed"
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
    stems: Mapping[str, Mapping[str, Any]],
    is_test: bool,
) -> None:
    """Write the event of a split's end, and queue its deliveries. A split has one event only.

    Args:
        key_id: The key whose secret signs the delivery to the split's own URL.
        url: The split's own URL, to which the event is delivered besides the account's endpoints.
        stems: Where to deliver stems: ``url`` and ``headers`` by the stem's name.
        is_test: Whether the key is a test key.
    """
    if session.scalars(select(Event.id).where(Event.split_id == split_id)).first():
        return
    event = Event(
        id=ids.new("evt"),
        account_id=account_id,
        key_id=key_id,
        split_id=split_id,
        is_test=is_test,
        type=kind,
        created_at=times.now(),
    )
    session.add(event)
    session.flush()
    if url is not None:
        send(session, event, url)
    for endpoint in endpoints.subscribed(session, account_id, kind, is_test=is_test):
        send(session, event, endpoint)
    for stem, target in stems.items():
        send_stem(session, event, stem, target["url"], target["headers"])


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
        is_test=key.is_test,
        type=kind,
        test=True,
        created_at=times.now(),
    )
    session.add(event)
    session.flush()
    return send(session, event, url), event


def send(session: Session, event: Event, to: str | Endpoint) -> Delivery:
    """Add a delivery of an event, due now. To a disabled receiver a live one fails at once.

    Args:
        to: A split's own URL, or an endpoint.
    """
    endpoint = None if isinstance(to, str) else to
    url = to if isinstance(to, str) else to.url
    disabled = receivers.disabled_reason(session, event, to)
    return _add(
        session,
        Delivery(event_id=event.id, endpoint_id=endpoint and endpoint.id, url=url),
        event,
        disabled,
    )


def send_stem(
    session: Session, event: Event, stem: str, url: str, headers: Mapping[str, str]
) -> Delivery:
    """Add a delivery of a stem, due now.

    Args:
        url: Takes the stem by PUT.
        headers: Of that request.
    """
    made = Delivery(event_id=event.id, url=url, stem=stem, headers=dict(headers))
    return _add(session, made, event, None)


def _add(session: Session, delivery: Delivery, event: Event, disabled: str | None) -> Delivery:
    """Add a delivery that is due now, or that has failed for a reason."""
    if not standing.is_active(session, event.account_id):
        disabled = SUSPENDED
    now = clock(session)
    delivery.id = ids.new("dlv")
    delivery.account_id, delivery.is_test = event.account_id, event.is_test
    delivery.state, delivery.reason = FAILED if disabled else PENDING, disabled
    delivery.attempts, delivery.created_at = 0, now
    delivery.next_attempt_at = None if disabled else now
    delivery.finished_at = now if disabled else None
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
    """Deliver the same event again. A live one to a split's own URL enables a disabled receiver.

    Raises:
        NotFound: See ``known``.
        Conflict: Its split was deleted, or its endpoint was deleted or is disabled.
    """
    before, event = known(session, account_id, delivery_id, is_test=is_test)
    if before.url == ERASED:
        raise Conflict("The split of this delivery was deleted, and its URL with it.")
    if before.endpoint_id is not None:
        return send(session, event, _enabled(session, event, before.endpoint_id)), event
    if before.stem is not None:
        return send_stem(session, event, before.stem, before.url, before.headers or {}), event
    if not before.is_test:
        receiver = receivers.find(session, before.account_id, before.url)
        if receiver is not None:
            endpoints.clear(receiver)
            session.flush()
    return send(session, event, before.url), event


def known_event(
    session: Session, account_id: str, event_id: str, *, is_test: bool, lock: bool = False
) -> Event:
    """Return an event.

    Args:
        lock: Lock the event until the end of the transaction, to redeliver it.

    Raises:
        NotFound: The account has no such event in this mode.
    """
    event = session.get(Event, event_id, with_for_update=lock)
    if event is None or (event.account_id, event.is_test) != (account_id, is_test):
        raise NotFound(f"There is no event {event_id[:64]}.")
    return event


def redeliver(session: Session, event: Event, endpoint_id: str | None) -> list[Delivery]:
    """Deliver an event again, to one endpoint or everywhere; return the new deliveries.

    Everywhere is the split's own URL, and each enabled endpoint that receives such events now.
    Where a delivery of this event is pending, no other one is added.

    Args:
        event: A locked event, since two redeliveries at the same time would find none pending.

    Raises:
        NotFound: The account has no such endpoint in the event's mode.
        Conflict: There is nowhere to deliver it to, or it is being delivered.
    """
    before = queries.destinations(session, event.id)
    receiving: list[str | Endpoint]
    if endpoint_id is not None:
        receiving = [_enabled(session, event, endpoint_id)]
    else:
        own = {url for endpoint, url, _ in before if endpoint is None and url != ERASED}
        subscribed = endpoints.subscribed(
            session, event.account_id, event.type, is_test=event.is_test
        )
        receiving = [*sorted(own), *subscribed]
    pending = {endpoint or url for endpoint, url, state in before if state == PENDING}
    free = [to for to in receiving if (to if isinstance(to, str) else to.id) not in pending]
    if not receiving:
        raise Conflict("There is no URL to deliver this event to, and no enabled endpoint.")
    if not free:
        raise Conflict("This event is being delivered there already.")
    return [send(session, event, to) for to in free]


def _enabled(session: Session, event: Event, endpoint_id: str) -> Endpoint:
    try:
        endpoint = endpoints.known(session, event.account_id, endpoint_id, is_test=event.is_test)
    except NotFound:
        raise NotFound(f"There is no webhook endpoint {endpoint_id[:64]} for this event.") from None
    if endpoint.disabled_reason is not None:
        raise Conflict(f"The endpoint {endpoint.id} is disabled. Enable it first.")
    return endpoint


def erase(session: Session, split_id: str) -> bool:
    """Erase URL and responses of a deleted split's deliveries; return False if some are pending."""
    deliveries = queries.of_split(session, split_id)
    ended = [delivery for delivery in deliveries if delivery.finished_at is not None]
    for delivery in ended:
        delivery.url, delivery.headers = ERASED, None
    queries.erase_answers(session, [delivery.id for delivery in ended])
    return len(ended) == len(deliveries)
