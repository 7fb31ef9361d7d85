"""Objects for every id in the paths of the API, for tests."""

from __future__ import annotations

from typing import Any

from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.splits import service
from aistemsplitter_server.webhooks.tables import Delivery, Endpoint
from customers import Customer


def path_ids(owner: Customer) -> dict[str, Any]:
    """Create one object of each kind that a path can name, and return their ids."""
    split = owner.split()
    with owner.database.write() as session:
        ended = session.merge(split)
        ended.webhook_url = "https://example.com/hook"
        service.cancel(session, ended)
        session.flush()
        delivery = session.query(Delivery).one()
        endpoint = Endpoint(
            id=ids.new("whe"),
            account_id=owner.caller.account_id,
            is_test=owner.caller.is_test,
            url="https://example.com/events",
            events=["split.failed"],
            description="",
            sealed_webhook_secret=b"",
            created_at=times.now(),
            updated_at=times.now(),
        )
        session.add(endpoint)
    upload = owner.upload()
    return {
        "split_id": split.id,
        "delivery_id": delivery.id,
        "endpoint_id": endpoint.id,
        "event_id": delivery.event_id,
        "upload_id": upload.id,
    }
