"""Delivering stems to the presigned URLs that customers give."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from aistemsplitter_server.accounts.tables import Signer
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.outgoing import Answer
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import headers, keys
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.webhooks import attempts
from aistemsplitter_server.webhooks.tables import Delivery, Event
from aistemsplitter_server.worker import delivery_queue
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivery_queue import DeliveryQueue, Undeliverable
from aistemsplitter_server.worker.dispatching import Limits

logger = logging.getLogger(__name__)

TIMEOUT = 3600.0  # seconds to send a stem; 12 hours of 24-bit WAV are 11 GB
DELETED = "the stems were deleted"


class StemDeliveries(DeliveryQueue):
    """The stems that are due to be sent, for a dispatcher."""

    limits = Limits(total=8, host=4, url=1)
    per_account = 2
    of_stems = True

    def run(self, context: WorkerContext, item_id: str) -> None:
        """Make an attempt."""
        deliver_stem(context, item_id)

    def renew(self, context: WorkerContext, item_ids: Sequence[str]) -> None:
        """Renew the claims on stems that are being sent."""
        with context.database.write() as session:
            attempts.renew(session, item_ids)


def deliver_stem(context: WorkerContext, delivery_id: str) -> None:
    """Attempt to send a stem, unless it is not due or another process has claimed it."""
    delivery_queue.attempt(context, delivery_id, _put)


def _put(context: WorkerContext, delivery: Delivery, event: Event, _signer: Signer) -> Answer | str:
    with context.database.read() as session:
        split = session.get_one(Split, event.split_id)
    if not split.can_be_heard(times.now()) or split.stored_attempt is None or delivery.stem is None:
        raise Undeliverable(DELETED)
    key = keys.stem(split.id, split.stored_attempt, delivery.stem, split.extension)
    sent = delivery.headers or {}
    if not any(name.lower() == "content-type" for name in sent):
        sent = {**sent, "Content-Type": headers.content_type(key)}
    try:
        length = context.storage.info(key).size
        with context.storage.open(key) as file:
            return context.outgoing.put(delivery.url, file, length, sent, timeout=TIMEOUT)
    except Missing:
        raise Undeliverable(DELETED) from None
    except OSError:
        logger.exception("stem %s cannot be read", delivery.id)
        return "the service's storage could not be read"
