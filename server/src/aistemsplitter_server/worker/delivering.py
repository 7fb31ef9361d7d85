"""Delivering events to webhooks. The deliveries' table is the queue; each is made at least once."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import webhook_secrets
from aistemsplitter_server.accounts.tables import Signer
from aistemsplitter_server.kit import round_robin
from aistemsplitter_server.kit.outgoing import Answer, OutgoingError
from aistemsplitter_server.splits import payloads
from aistemsplitter_server.webhooks import attempts, queries, signing
from aistemsplitter_server.webhooks.tables import Delivery, Event
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Item, Limits

logger = logging.getLogger(__name__)

TIMEOUT = 15.0  # seconds for the receiver's response
# concurrent deliveries of one account, so that slow receivers leave room for other accounts
ACCOUNT = 4


class Deliveries:
    """The due deliveries, for a dispatcher."""

    limits = Limits(total=64, host=8, url=2)
    needs_disk = False

    def account_limit(self, _session: Session, _account_id: str) -> int:
        """Return how many deliveries of an account this process may make at the same time."""
        return ACCOUNT

    def accounts(
        self, session: Session, now: datetime, after: str, limit: int
    ) -> list[round_robin.Waiting]:
        """Return accounts with pending deliveries, in the order of their ids."""
        return queries.accounts_due(session, now, after, limit)

    def due(
        self,
        session: Session,
        now: datetime,
        account_id: str,
        *,
        without: Sequence[str],
        without_urls: Sequence[str],
        limit: int,
    ) -> Sequence[Item]:
        """Return an account's due deliveries, the earliest first."""
        found = queries.due(session, now, account_id, without, without_urls, limit)
        return [Item(delivery_id, account_id, url) for delivery_id, url in found]

    def run(self, context: WorkerContext, item_id: str) -> None:
        """Make an attempt."""
        deliver(context, item_id)

    def renew(self, _context: WorkerContext, _item_ids: Sequence[str]) -> None:
        """Do nothing: an attempt ends before its claim expires."""


def deliver(context: WorkerContext, delivery_id: str) -> None:
    """Attempt a delivery, unless it is not due or another process has claimed it."""
    begun = context.write(lambda session: attempts.begin(session, delivery_id))
    if begun is None:
        return
    outcome = _post(context, *begun)
    number = begun[0].attempts
    logger.info(
        "delivery %s, attempt %d: %s",
        delivery_id,
        number,
        outcome.status if isinstance(outcome, Answer) else outcome,
    )
    context.write(lambda session: attempts.record(session, delivery_id, number, outcome))


def _post(context: WorkerContext, delivery: Delivery, event: Event, signer: Signer) -> Answer | str:
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    with context.database.read() as session:
        body = payloads.encode(payloads.render(session, event, context.storage, lifetime))
    secrets = webhook_secrets.active(context.secrets, signer)
    headers = {
        "Content-Type": "application/json",
        **signing.headers(secrets, event.id, int(time.time()), body),
    }
    try:
        return context.outgoing.post(delivery.url, body, headers, timeout=TIMEOUT)
    except OutgoingError as error:
        return str(error)
