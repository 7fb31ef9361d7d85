"""An event as its receivers get it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import rendering as splits
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.webhooks import sample
from aistemsplitter_server.webhooks.tables import Event


def render(
    session: Session, event: Event, storage: Storage, url_lifetime: timedelta
) -> dict[str, Any]:
    """The event with the split as it stands now: its URLs are fresh, however late this is.

    Args:
        url_lifetime: of those URLs.
    """
    split = sample.split(event) if event.test else session.get_one(Split, event.split_id)
    return {
        "id": event.id,
        "type": event.type,
        "event": "audio.split.completed",
        "createdAt": times.to_wire(event.created_at),
        **({"test": True} if event.test else {}),
        "data": splits.render(split, storage, url_lifetime).model_dump(by_alias=True),
    }


def encode(told: dict[str, Any]) -> bytes:
    """The bytes that are signed and sent."""
    return json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
