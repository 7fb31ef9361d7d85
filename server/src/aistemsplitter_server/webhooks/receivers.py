"""The hosts of splits' own URLs, and disabling a receiver that always fails.

A host counts as one receiver of its account, because URLs of splits often differ in their query.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import outgoing
from aistemsplitter_server.kit.database import add_if_missing
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.outgoing import OutgoingError
from aistemsplitter_server.webhooks import endpoints, queries
from aistemsplitter_server.webhooks.tables import Delivery, Endpoint, Event, Receiver

DISABLED_AFTER = timedelta(days=5)
FAILED_FOR_DAYS = "disabled: all deliveries to it failed for 5 days"
ENDPOINT_DELETED = "the endpoint was deleted"
ANSWERED_GONE = "disabled: it answered 410 Gone"


def origin(url: str) -> str:
    """Return scheme, host and port of a URL, by which receivers are known."""
    try:
        return outgoing.origin(url)
    except OutgoingError:  # earlier versions accepted it
        return url


def disabled_reason(session: Session, event: Event, to: str | Endpoint) -> str | None:
    """Return why an event cannot be sent somewhere; None if it can."""
    if isinstance(to, Endpoint):
        return to.disabled_reason
    if event.is_test:
        return None
    receiver = session.get(Receiver, (event.account_id, origin(to)))
    return None if receiver is None else receiver.disabled_reason


def find(session: Session, account_id: str, url: str) -> Receiver | None:
    """Return the receiver of a split's own URL, locked; None if nothing was ever sent to it."""
    return session.get(Receiver, (account_id, origin(url)), with_for_update=True)


def enable(session: Session, account_id: str, url: str) -> None:
    """Enable a disabled receiver.

    Raises:
        NotFound: The account has never sent anything to it.
    """
    receiver = find(session, account_id, url)
    if receiver is None:
        raise NotFound("Nothing was ever sent to this URL.")
    endpoints.clear(receiver)


def note(
    session: Session, delivery: Delivery, now: datetime, *, delivered: bool, gone: bool
) -> str | None:
    """Note an outcome at the delivery's receiver; return the reason if that is disabled now.

    Args:
        gone: Whether the receiver answered 410 Gone.
    """
    receiver = _locked(session, delivery, now)
    if receiver is None:
        # Nothing is disabled by tests and stems that are sent to a split's own URL.
        return None if delivery.endpoint_id is None else ENDPOINT_DELETED
    is_endpoint = isinstance(receiver, Endpoint)
    if is_endpoint and receiver.url != delivery.url:  # changed during the attempt
        return receiver.disabled_reason
    if delivered:
        if not (is_endpoint and receiver.disabled_reason):  # disabled during the attempt
            endpoints.clear(receiver)
        return None
    receiver.failing_since = receiver.failing_since or now
    if receiver.disabled_reason is None:
        if now - receiver.failing_since >= DISABLED_AFTER:
            receiver.disabled_at, receiver.disabled_reason = now, FAILED_FOR_DAYS
        elif gone and is_endpoint:
            receiver.disabled_at, receiver.disabled_reason = now, ANSWERED_GONE
    return receiver.disabled_reason


def _locked(session: Session, delivery: Delivery, now: datetime) -> Endpoint | Receiver | None:
    """Return the receiver of a delivery, locked."""
    if delivery.endpoint_id is not None:
        return session.get(
            Endpoint, delivery.endpoint_id, with_for_update=True, populate_existing=True
        )
    if delivery.is_test or delivery.stem is not None:
        return None
    key = {"account_id": delivery.account_id, "url": origin(delivery.url)}
    add_if_missing(session, Receiver, **key)
    receiver = session.get_one(Receiver, tuple(key.values()), with_for_update=True)
    receiver.used_at = now
    return receiver


def note_use(session: Session, now: datetime, limit: int) -> int:
    """Start the retention time of receivers without a time of use; return how many."""
    found = queries.unused_receivers(session, limit)
    for receiver in found:
        receiver.used_at = now
    return len(found)
