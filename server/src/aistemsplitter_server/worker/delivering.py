"""Delivering events to webhooks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import timedelta

from aistemsplitter_server.accounts import webhook_secrets
from aistemsplitter_server.accounts.tables import Signer
from aistemsplitter_server.kit.outgoing import Answer
from aistemsplitter_server.splits import payloads
from aistemsplitter_server.webhooks import signing
from aistemsplitter_server.webhooks.tables import Delivery, Event
from aistemsplitter_server.worker import delivery_queue
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivery_queue import DeliveryQueue
from aistemsplitter_server.worker.dispatching import Limits

TIMEOUT = 15.0  # seconds for the receiver's response


class Deliveries(DeliveryQueue):
    """The due deliveries of events, for a dispatcher."""

    limits = Limits(total=64, host=8, url=2)
    per_account = 4  # so that slow receivers leave room for other accounts
    of_stems = False

    def run(self, context: WorkerContext, item_id: str) -> None:
        """Make an attempt."""
        deliver(context, item_id)

    def renew(self, _context: WorkerContext, _item_ids: Sequence[str]) -> None:
        """Do nothing: an attempt ends before its claim expires."""


def deliver(context: WorkerContext, delivery_id: str) -> None:
    """Attempt to deliver an event, unless it is not due or another process has claimed it."""
    delivery_queue.attempt(context, delivery_id, _post)


def _post(context: WorkerContext, delivery: Delivery, event: Event, signer: Signer) -> Answer:
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    with context.database.read() as session:
        body = payloads.encode(payloads.render(session, event, context.storage, lifetime))
    secrets = webhook_secrets.active(context.secrets, signer)
    headers = {
        "Content-Type": "application/json",
        **signing.headers(secrets, event.id, int(time.time()), body),
    }
    return context.outgoing.post(delivery.url, body, headers, timeout=TIMEOUT)
