"""The queries on deliveries. Those for users are scoped to their account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Event


def page(
    session: Session,
    account_id: str | None,
    *,
    before: str | None = None,
    state: str | None = None,
    limit: int,
) -> Sequence[tuple[Delivery, Event]]:
    """Deliveries with their events, newest first; for the operator, of all accounts."""
    query = select(Delivery, Event).join(Event, Event.id == Delivery.event_id)
    if account_id is not None:
        query = query.where(Delivery.account_id == account_id)
    if before is not None:
        query = query.where(Delivery.id < before)
    if state is not None:
        query = query.where(Delivery.state == state)
    rows = session.execute(query.order_by(Delivery.id.desc()).limit(limit))
    return [(delivery, event) for delivery, event in rows]


def one(
    session: Session, account_id: str | None, delivery_id: str
) -> tuple[Delivery, Event] | None:
    """A delivery with its event; for the operator, of any account."""
    query = select(Delivery, Event).join(Event, Event.id == Delivery.event_id)
    query = query.where(Delivery.id == delivery_id)
    if account_id is not None:
        query = query.where(Delivery.account_id == account_id)
    found = session.execute(query).one_or_none()
    return found and (found[0], found[1])


def attempts(session: Session, delivery_id: str) -> Sequence[Attempt]:
    """What was tried for a delivery, in order."""
    query = select(Attempt).where(Attempt.delivery_id == delivery_id).order_by(Attempt.number)
    return session.scalars(query).all()


def forget_deliveries(session: Session, before: datetime, limit: int) -> int:
    """Delete the log of deliveries that ended before; how many."""
    query = select(Delivery.id).where(Delivery.finished_at < before).limit(limit)
    ids = session.scalars(query).all()
    session.execute(delete(Attempt).where(Attempt.delivery_id.in_(ids)))
    session.execute(delete(Delivery).where(Delivery.id.in_(ids)))
    return len(ids)
