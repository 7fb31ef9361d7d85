"""Typed results about webhook endpoints, events and their deliveries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aistemsplitter._models import Serializable, raw_field
from aistemsplitter._webhooks import WebhookEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpoint(Serializable):
    """A URL that receives the events of all the account's splits. Hashes by its id.

    Attributes:
        id: Id of the endpoint.
        url: URL that receives the events.
        events: Types of events that it receives.
        description: Text of your own.
        disabled: True if deliveries to it fail at once.
        disabled_reason: Reason why it is disabled.
        disabled_at: Time at which it was disabled.
        failing_since: Time of the first failure since the last successful delivery.
        previous_secret_until: Time until which the previous secret also signs, after a rotation.
        created_at: Time of its creation.
        updated_at: Time of its last change.
        secret: Signing secret (``whsec_...``), sent only when it is created or rotated.
        raw: JSON of the endpoint as the service sent it.
    """

    id: str
    url: str
    events: tuple[str, ...] = ()
    description: str = ""
    disabled: bool = False
    disabled_reason: str | None = None
    disabled_at: datetime | None = None
    failing_since: datetime | None = None
    previous_secret_until: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    secret: str | None = field(default=None, repr=False)
    raw: Mapping[str, Any] = raw_field()

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedWebhookEndpoint(Serializable):
    """Confirmation that a webhook endpoint was deleted."""

    id: str
    deleted: bool = True
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery(Serializable):
    """A delivery of an event to one URL. Hashes by its id.

    Attributes:
        id: Id of the delivery.
        state: ``pending``, ``delivered`` or ``failed``.
        url: URL that it goes to.
        endpoint_id: Id of the endpoint; None for the split's own ``webhook_url``.
        stem: Name of the stem that is delivered, instead of the event; see ``output`` of
            ``create_split``.
        event_id: Id of the event.
        type: Type of the event.
        split_id: Id of the split.
        attempts: Number of attempts so far.
        reason: Reason of the failure.
        created_at: Time of its creation.
        next_attempt_at: Time of the next attempt.
        finished_at: Time of its end.
        test: True for a sample event, whose split does not exist.
        raw: JSON of the delivery as the service sent it.
    """

    id: str
    state: str
    url: str = ""
    endpoint_id: str | None = None
    stem: str | None = None
    event_id: str | None = None
    type: str | None = None
    split_id: str | None = None
    attempts: int = 0
    reason: str | None = None
    created_at: datetime | None = None
    next_attempt_at: datetime | None = None
    finished_at: datetime | None = None
    test: bool = False
    raw: Mapping[str, Any] = raw_field()

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEndpointPageData(Serializable):
    """Webhook endpoints of one page, newest first, and the cursor of the next page."""

    items: tuple[WebhookEndpoint, ...]
    next_cursor: str | None = field(default=None, metadata={"strict": True})
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPageData(Serializable):
    """Events of one page, newest first, and the cursor of the next page."""

    items: tuple[WebhookEvent, ...]
    next_cursor: str | None = field(default=None, metadata={"strict": True})
    raw: Mapping[str, Any] = raw_field()
