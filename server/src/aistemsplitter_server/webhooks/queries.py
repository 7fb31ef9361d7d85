"""Queries on deliveries, events and endpoints. Those for users are scoped to their account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import round_robin
from aistemsplitter_server.kit.round_robin import Waiting
from aistemsplitter_server.webhooks.tables import (
    IS_UNDELIVERED,
    Attempt,
    Delivery,
    Endpoint,
    Event,
    Receiver,
)


def page(
    session: Session,
    account_id: str | None,
    *,
    is_test: bool | None = None,
    before: str | None = None,
    state: str | None = None,
    kind: str | None = None,
    key_id: str | None = None,
    split_id: str | None = None,
    url_part: str | None = None,
    limit: int,
) -> Sequence[tuple[Delivery, Event]]:
    """Return deliveries with their events, newest first; for the operator, of all accounts.

    Args:
        is_test: Return only deliveries for splits of test keys, or only all others; None for both.
        kind: Return only events of this type.
        key_id: Return only events signed with this key's secret.
        url_part: Return only deliveries with this in their URL, in any case.
    """
    query = select(Delivery, Event).join(Event, Event.id == Delivery.event_id)
    if account_id is not None:
        query = query.where(Delivery.account_id == account_id)
    if is_test is not None:
        query = query.where(Delivery.is_test == is_test)
    if before is not None:
        query = query.where(Delivery.id < before)
    if state is not None:
        query = query.where(Delivery.state == state)
        if state != "delivered":
            query = query.where(IS_UNDELIVERED)  # as in the index
    if kind is not None:
        query = query.where(Event.type == kind)
    if key_id is not None:
        query = query.where(Event.key_id == key_id)
    if split_id is not None:
        query = query.where(Event.split_id == split_id)
    if url_part is not None:
        query = query.where(Delivery.url.icontains(url_part, autoescape=True))
    rows = session.execute(query.order_by(Delivery.id.desc()).limit(limit))
    return [(delivery, event) for delivery, event in rows]


def one(
    session: Session, account_id: str | None, delivery_id: str
) -> tuple[Delivery, Event] | None:
    """Return a delivery with its event; for the operator, of any account."""
    query = select(Delivery, Event).join(Event, Event.id == Delivery.event_id)
    query = query.where(Delivery.id == delivery_id)
    if account_id is not None:
        query = query.where(Delivery.account_id == account_id)
    found = session.execute(query).one_or_none()
    return found and (found[0], found[1])


def attempts(session: Session, delivery_id: str) -> Sequence[Attempt]:
    """Return the attempts at a delivery, in order."""
    query = select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.number)
    return session.scalars(query).all()


def events(
    session: Session,
    account_id: str,
    *,
    is_test: bool,
    before: str | None,
    kind: str | None,
    limit: int,
) -> Sequence[Event]:
    """Return the account's events of one mode, newest first.

    Args:
        kind: Return only events of this type.
    """
    query = select(Event).where(Event.account_id == account_id, Event.is_test == is_test)
    if before is not None:
        query = query.where(Event.id < before)
    if kind is not None:
        query = query.where(Event.type == kind)
    return session.scalars(query.order_by(Event.id.desc()).limit(limit)).all()


def destinations(session: Session, event_id: str) -> Sequence[tuple[str | None, str, str]]:
    """Return endpoint, URL and state of an event's deliveries, each combination once.

    Deliveries of stems are left out.
    """
    query = select(Delivery.endpoint_id, Delivery.url, Delivery.state).distinct()
    found = session.execute(query.where(Delivery.event_id == event_id, Delivery.stem.is_(None)))
    return [(endpoint_id, url, state) for endpoint_id, url, state in found]


def endpoints(
    session: Session,
    account_id: str | None,
    *,
    is_test: bool | None = None,
    before: str | None = None,
    limit: int,
) -> Sequence[Endpoint]:
    """Return endpoints, newest first; for the operator, of all accounts."""
    query = select(Endpoint)
    if account_id is not None:
        query = query.where(Endpoint.account_id == account_id)
    if is_test is not None:
        query = query.where(Endpoint.is_test == is_test)
    if before is not None:
        query = query.where(Endpoint.id < before)
    return session.scalars(query.order_by(Endpoint.id.desc()).limit(limit)).all()


def enabled_endpoints(session: Session, account_id: str, *, is_test: bool) -> Sequence[Endpoint]:
    """Return the account's endpoints of one mode that are not disabled, oldest first."""
    query = select(Endpoint).where(
        Endpoint.account_id == account_id,
        Endpoint.is_test == is_test,
        Endpoint.disabled_reason.is_(None),
    )
    return session.scalars(query.order_by(Endpoint.id)).all()


def number_of_endpoints(session: Session, account_id: str) -> int:
    """Count the account's endpoints of both modes."""
    query = select(func.count()).where(Endpoint.account_id == account_id)
    return session.scalars(query).one()


def endpoint_of_url(session: Session, account_id: str, url: str, *, is_test: bool) -> str | None:
    """Return the id of the endpoint with a URL."""
    query = select(Endpoint.id).where(
        Endpoint.account_id == account_id, Endpoint.is_test == is_test, Endpoint.url == url
    )
    return session.scalars(query).first()


def disabled(session: Session, account_id: str) -> Sequence[Receiver]:
    """Return the account's disabled receivers, the most recently disabled first."""
    query = select(Receiver).where(
        Receiver.account_id == account_id, Receiver.disabled_reason.is_not(None)
    )
    return session.scalars(query.order_by(Receiver.disabled_at.desc())).all()


def accounts_due(session: Session, now: datetime, after: str, limit: int) -> list[Waiting]:
    """Return accounts with pending deliveries, in the order of their ids."""
    return round_robin.accounts(
        session,
        Delivery.account_id,
        Delivery.next_attempt_at,
        now=now,
        after=after,
        limit=limit,
    )


def due(
    session: Session,
    now: datetime,
    account_id: str,
    *,
    without: Sequence[str],
    without_urls: Sequence[str],
    of_stems: bool,
    limit: int,
) -> Sequence[tuple[str, str]]:
    """Return id and URL of an account's deliveries that are due, the earliest first.

    Args:
        without: Ids to leave out.
        without_urls: Receivers to leave out.
        of_stems: Return those of stems instead of those of events.
    """
    query = select(Delivery.id, Delivery.url).where(
        Delivery.account_id == account_id,
        Delivery.next_attempt_at <= now,
        Delivery.id.not_in(without),
        Delivery.url.not_in(without_urls),
        Delivery.stem.is_not(None) if of_stems else Delivery.stem.is_(None),
    )
    found = session.execute(query.order_by(Delivery.next_attempt_at).limit(limit))
    return [(delivery_id, url) for delivery_id, url in found]


def of_split(session: Session, split_id: str) -> Sequence[Delivery]:
    """Return the deliveries of a split's event, locked until the end of the transaction."""
    query = select(Delivery).join(Event, Event.id == Delivery.event_id)
    query = query.where(Event.split_id == split_id).with_for_update(of=Delivery)
    return session.scalars(query.execution_options(populate_existing=True)).all()


def erase_answers(session: Session, delivery_ids: Sequence[str]) -> None:
    """Erase the responses of receivers, and the errors of attempts."""
    session.execute(
        update(Attempt)
        .where(Attempt.delivery_id.in_(delivery_ids))
        .values(excerpt=None, error=None)
    )


def unused_receivers(session: Session, limit: int) -> Sequence[Receiver]:
    """Return receivers without a time of their last use."""
    query = select(Receiver).where(Receiver.used_at.is_(None)).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def stranded(session: Session, before: datetime, limit: int) -> Sequence[Delivery]:
    """Return pending deliveries created before that time that have no next attempt."""
    query = select(Delivery).where(
        Delivery.state == "pending",
        Delivery.next_attempt_at.is_(None),
        Delivery.created_at < before,
    )
    return session.scalars(query.limit(limit)).all()
