"""The job that delivers an event: at least once, however often the job is run."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from urllib.parse import urlsplit

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.kit.outgoing import Answer, OutgoingError
from aistemsplitter_server.webhooks import rendering, service, signing
from aistemsplitter_server.webhooks.tables import Delivery, Event
from aistemsplitter_server.worker.context import WorkerContext

logger = logging.getLogger(__name__)

TIMEOUT = 15.0  # seconds that a receiver has
AT_ONCE = 4  # deliveries to one host, in one process, so that a slow one leaves room for others
LATER = timedelta(seconds=2)


def deliver(context: WorkerContext, delivery_id: str) -> None:
    """Carry the job out."""
    with context.database.read() as session:
        delivery = session.get(Delivery, delivery_id)
    if delivery is None:
        return
    with _places.one(urlsplit(delivery.url).netloc) as free:
        if not free:
            context.write(lambda session: service.enqueue(session, delivery, delay=LATER))
            return
        begun = context.write(lambda session: service.begin(session, delivery_id))
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
    context.write(lambda session: service.record(session, delivery_id, number, outcome))


def _post(context: WorkerContext, delivery: Delivery, event: Event) -> Answer | str:
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    with context.database.read() as session:
        body = rendering.encode(rendering.render(session, event, context.storage, lifetime))
        key = session.get_one(ApiKey, event.key_id)
    secrets = accounts.webhook_secrets(context.secrets, key)
    headers = {
        "Content-Type": "application/json",
        **signing.headers(secrets, event.id, int(time.time()), body),
    }
    try:
        return context.outgoing.post(delivery.url, body, headers, timeout=TIMEOUT)
    except OutgoingError as error:
        return str(error)


class _Places:
    """How many deliveries to each host are under way in this process."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def one(self, host: str) -> Iterator[bool]:
        """Take a place; False where there is none."""
        with self._lock:
            free = self._taken[host] < AT_ONCE
            if free:
                self._taken[host] += 1
        try:
            yield free
        finally:
            if free:
                with self._lock:
                    self._taken[host] -= 1
                    if not self._taken[host]:
                        del self._taken[host]


_places = _Places()
