"""The rules of webhooks. Nothing here commits; the caller's unit of work does."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import ids, jobs, times
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks.tables import Delivery, Event

QUEUE = "webhooks"
DELIVER = "deliver"  # the job


def announce(session: Session, split: Split) -> None:
    """A split has come to its end: write the event, once, and send it on its way."""
    if session.scalars(select(Event.id).where(Event.split_id == split.id)).first():
        return
    now = times.now()
    event = Event(
        id=ids.new("evt"),
        account_id=split.account_id,
        key_id=split.key_id,
        split_id=split.id,
        type=f"split.{split.status}",
        created_at=now,
    )
    session.add(event)
    session.flush()
    if split.webhook_url is None:
        return
    delivery = Delivery(
        id=ids.new("dlv"),
        account_id=split.account_id,
        event_id=event.id,
        url=split.webhook_url,
        state="pending",
        attempts=0,
        created_at=now,
        next_attempt_at=now,
    )
    session.add(delivery)
    session.flush()
    jobs.enqueue(session, DELIVER, delivery.id, queue=QUEUE, job_id=f"{delivery.id}-1")
