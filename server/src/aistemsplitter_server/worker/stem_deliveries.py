"""Delivering stems to the presigned URLs that customers give. Each is sent at least once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import round_robin, times
from aistemsplitter_server.kit.outgoing import Answer, OutgoingError
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import headers, keys
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.webhooks import attempts, queries
from aistemsplitter_server.webhooks.tables import Delivery
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Item, Limits

logger = logging.getLogger(__name__)

TIMEOUT = 3600.0  # seconds to send a stem; 12 hours of 24-bit WAV are 11 GB
ACCOUNT = 2  # stems of one account that are sent at the same time
DELETED = "the stems were deleted"


class StemDeliveries:
    """The stems that are due to be sent, for a dispatcher."""

    limits = Limits(total=8, host=4, url=1)
    needs_disk = False

    def account_limit(self, _session: Session, _account_id: str) -> int:
        """Return how many stems of an account this process may send at the same time."""
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
        """Return an account's stems to send, the earliest first."""
        found = queries.due(session, now, account_id, without, without_urls, limit, of_stems=True)
        return [Item(delivery_id, account_id, url) for delivery_id, url in found]

    def run(self, context: WorkerContext, item_id: str) -> None:
        """Make an attempt."""
        deliver_stem(context, item_id)

    def renew(self, context: WorkerContext, item_ids: Sequence[str]) -> None:
        """Renew the claims on stems that are being sent."""
        if item_ids:
            with context.database.write() as session:
                attempts.renew(session, item_ids)


def deliver_stem(context: WorkerContext, delivery_id: str) -> None:
    """Attempt to send a stem, unless it is not due or another process has claimed it."""
    begun = context.write(lambda session: attempts.begin(session, delivery_id))
    if begun is None:
        return
    delivery, event, _ = begun
    outcome = _put(context, delivery, event.split_id)
    number = delivery.attempts
    logger.info(
        "stem %s, attempt %d: %s",
        delivery_id,
        number,
        outcome.status if isinstance(outcome, Answer) else outcome,
    )
    context.write(
        lambda session: attempts.record(
            session, delivery_id, number, outcome, is_final=outcome == DELETED
        )
    )


def _put(context: WorkerContext, delivery: Delivery, split_id: str) -> Answer | str:
    """Send a stem; return the storage's response, or why there was none."""
    with context.database.read() as session:
        split = session.get_one(Split, split_id)
    if not split.can_be_heard(times.now()) or split.stored_attempt is None or delivery.stem is None:
        return DELETED
    key = keys.stem(split.id, split.stored_attempt, delivery.stem, split.output_format)
    sent = delivery.headers or {}
    if not any(name.lower() == "content-type" for name in sent):
        sent = {**sent, "Content-Type": headers.content_type(key)}
    try:
        length = context.storage.info(key).size
        with context.storage.open(key) as file:
            return context.outgoing.put(delivery.url, file, length, sent, timeout=TIMEOUT)
    except Missing:
        return DELETED
    except OutgoingError as error:
        return str(error)
    except OSError:
        logger.exception("stem %s cannot be read", delivery.id)
        return "the service's storage could not be read"
