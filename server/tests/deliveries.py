"""Events and deliveries of a customer's splits, for tests."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import service as splits
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks.tables import Attempt, Delivery
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import deliver
from customers import Customer
from peers import Request


def failed_split(someone: Customer, url: str | None) -> str:
    """Create a failed split and its event."""
    split = someone.split()
    with someone.database.write() as session:
        row = session.get_one(Split, split.id)
        row.webhook_url = url
        splits.cancel(session, row)
    return split.id


def delivery(someone: Customer) -> Delivery:
    with someone.database.read() as session:
        return session.scalars(select(Delivery)).one()


def attempts(someone: Customer) -> Sequence[Attempt]:
    with someone.database.read() as session:
        return session.scalars(select(Attempt).order_by(Attempt.number)).all()


def attempt_now(context: WorkerContext, someone: Customer) -> None:
    """Make the next attempt immediately, even if it is not due."""
    with someone.database.write() as session:
        pending = update(Delivery).where(Delivery.next_attempt_at.is_not(None))
        session.execute(pending.values(next_attempt_at=times.now()))
    deliver(context, delivery(someone).id)


def headers(request: Request) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}
