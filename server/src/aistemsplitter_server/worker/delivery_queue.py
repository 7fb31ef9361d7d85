"""The deliveries' table as a queue, of events or of stems. Each delivery is made at least once."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeAlias

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Signer
from aistemsplitter_server.kit import round_robin
from aistemsplitter_server.kit.outgoing import Answer, OutgoingError
from aistemsplitter_server.webhooks import attempts, queries
from aistemsplitter_server.webhooks.tables import Delivery, Event
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Item, Limits

logger = logging.getLogger(__name__)

# Sends a delivery; returns the receiver's response, or why there was none.
Send: TypeAlias = Callable[[WorkerContext, Delivery, Event, Signer], Answer | str]


class Undeliverable(Exception):
    """No further attempt at this delivery can succeed."""


class DeliveryQueue:
    """The due deliveries of one kind, for a dispatcher. Each kind is a subclass."""

    limits: Limits
    per_account: int  # concurrent deliveries of one account
    of_stems: bool
    needs_disk = False

    def account_limit(self, _session: Session, _account_id: str) -> int:
        """Return how many deliveries of an account this process may make at the same time."""
        return self.per_account

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
        running: Sequence[Item],
        limit: int,
    ) -> Sequence[Item]:
        """Return an account's due deliveries, the earliest first."""
        to_url = Counter(item.url for item in running)
        found = queries.due(
            session,
            now,
            account_id,
            without=[item.id for item in running],
            without_urls=[url for url, number in to_url.items() if number >= self.limits.url],
            of_stems=self.of_stems,
            limit=limit,
        )
        return [Item(delivery_id, account_id, url) for delivery_id, url in found]


def attempt(context: WorkerContext, delivery_id: str, send: Send) -> None:
    """Attempt a delivery, unless it is not due or another process has claimed it."""
    begun = context.write(lambda session: attempts.begin(session, delivery_id))
    if begun is None:
        return
    number, is_final = begun[0].attempts, False
    outcome: Answer | str
    try:
        outcome = send(context, *begun)
    except OutgoingError as error:
        outcome = str(error)
    except Undeliverable as error:
        outcome, is_final = str(error), True
    logger.info(
        "delivery %s, attempt %d: %s",
        delivery_id,
        number,
        outcome.status if isinstance(outcome, Answer) else outcome,
    )
    context.write(
        lambda session: attempts.record(session, delivery_id, number, outcome, is_final=is_final)
    )
