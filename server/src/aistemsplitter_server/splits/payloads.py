"""The payload of a webhook event, as receivers get it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import rendering, sample
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.webhooks.tables import Event


def render(
    session: Session, event: Event, storage: Storage, url_lifetime: timedelta
) -> dict[str, Any]:
    """Return the payload of an event, with the split as it is now and fresh URLs of its stems.

    Args:
        url_lifetime: How long those URLs work.
    """
    split = sample.split(event) if event.test else session.get_one(Split, event.split_id)
    return {
        "id": event.id,
        "type": event.type,
        "event": "audio.split.completed",
        "createdAt": times.to_wire(event.created_at),
        **({"test": True} if event.test else {}),
        "data": rendering.render(split, storage, url_lifetime).model_dump(by_alias=True),
    }


def encode(payload: dict[str, Any]) -> bytes:
    """Return the payload as the bytes that are signed and sent."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
