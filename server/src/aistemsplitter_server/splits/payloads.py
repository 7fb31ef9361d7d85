"""The payload of a webhook event, as receivers get it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import cast

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.splits import rendering, sample
from aistemsplitter_server.splits.schemas import WebhookEvent
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.webhooks.tables import Event, EventType


def render(
    session: Session, event: Event, storage: Storage, url_lifetime: timedelta
) -> WebhookEvent:
    """Return the payload of an event, with the split as it is now and fresh URLs of its stems.

    Args:
        url_lifetime: How long those URLs work.
    """
    return render_all(session, [event], storage, url_lifetime)[0]


def render_all(
    session: Session, events: Sequence[Event], storage: Storage, url_lifetime: timedelta
) -> list[WebhookEvent]:
    """Return the payloads of events; see ``render``."""
    ids = [event.split_id for event in events if not event.test]
    found = session.scalars(select(Split).where(Split.id.in_(ids))) if ids else ()
    splits = {split.id: split for split in found}
    return [
        WebhookEvent(
            id=event.id,
            type=cast("EventType", event.type),
            event="audio.split.completed",
            created_at=times.to_wire(event.created_at),
            test=event.test,
            data=rendering.render(
                sample.split(event) if event.test else splits[event.split_id],
                storage,
                url_lifetime,
            ),
        )
        for event in events
    ]


def require_split(session: Session, event: Event) -> None:
    """Require that an event's split was not deleted.

    Raises:
        Conflict: It was deleted, so the payload would be empty.
    """
    if not event.test and session.get_one(Split, event.split_id).deleted_at is not None:
        raise Conflict("The split of this event was deleted.")


def encode(payload: WebhookEvent) -> bytes:
    """Return the payload as the bytes that are signed and sent."""
    fields = payload.model_dump(by_alias=True)
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
