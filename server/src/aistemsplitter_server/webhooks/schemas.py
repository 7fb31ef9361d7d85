"""Schemas of deliveries and endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, StringConstraints, field_validator

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.schemas import Moment, NextCursor, Request, Response
from aistemsplitter_server.webhooks.tables import (
    EVENT_TYPES,
    Attempt,
    Delivery,
    Endpoint,
    Event,
    EventType,
)

State = Literal["pending", "delivered", "failed"]
Url = Annotated[str, StringConstraints(min_length=1, max_length=2048)]
Description = Annotated[str, StringConstraints(max_length=200)]


class AttemptInfo(Response):
    """An attempt: the receiver's response, or why there was none."""

    number: int
    started_at: str
    status: int | None
    latency_seconds: float | None
    answer: str | None = Field(description="first 2 kB of the response")
    error: str | None
    next_attempt_at: str | None


class DeliveryInfo(Response):
    """A delivery of an event, or of one stem of its split, to one URL."""

    id: str
    state: State
    url: str
    endpoint_id: str | None = Field(
        description="the endpoint, which may be deleted by now; null for the split's own URL"
    )
    stem: str | None = Field(description="the stem that is delivered; null for the event")
    event_id: str
    type: str
    split_id: str
    attempts: int
    reason: str | None = Field(description="reason of the failure")
    created_at: str
    next_attempt_at: str | None
    finished_at: str | None
    test: bool = Field(description="true for a test event, which belongs to no split")


class DeliveryDetail(DeliveryInfo):
    """A delivery with its log."""

    log: list[AttemptInfo]


class DeliveryPage(Response):
    """A page of deliveries, newest first."""

    items: list[DeliveryInfo]
    next_cursor: NextCursor


class CreateEndpoint(Request):
    """The request for a webhook endpoint."""

    url: Url = Field(
        description="http or https; receives the events", examples=["https://shop.example/hooks"]
    )
    events: list[EventType] | None = Field(
        None, min_length=1, description="types of events; all of today's if omitted"
    )
    description: Description = ""

    @field_validator("events")
    @classmethod
    def _distinct(cls, events: list[EventType] | None) -> list[EventType] | None:
        return _distinct(events)

    @property
    def wanted(self) -> Sequence[EventType]:
        """The types of events to send."""
        return self.events or EVENT_TYPES


class UpdateEndpoint(Request):
    """Changes of a webhook endpoint. Omitted and null fields stay as they are."""

    url: Url | None = None
    events: list[EventType] | None = Field(None, min_length=1)
    description: Description | None = None
    disabled: bool | None = Field(None, description="false enables it, also if it failed")

    @field_validator("events")
    @classmethod
    def _distinct(cls, events: list[EventType] | None) -> list[EventType] | None:
        return _distinct(events)


class EndpointInfo(Response):
    """A URL that receives the events of all the account's splits of one mode, live or test."""

    id: str = Field(examples=["whe_01JTB3Y6M8Q4W2N7C5D9E0F1GH"])
    url: str = Field(examples=["https://shop.example/hooks"])
    events: list[EventType]
    disabled: bool
    disabled_reason: str | None
    disabled_at: Moment | None
    failing_since: Moment | None = Field(description="null after a successful delivery")
    previous_secret_until: Moment | None = Field(
        description="until when the previous secret also signs, after a rotation"
    )
    created_at: Moment
    updated_at: Moment
    description: str = Field(examples=["orders"])


class EndpointSecret(EndpointInfo):
    """An endpoint with its new secret, which is shown only once."""

    secret: str = Field(examples=["whsec_..."])


class EndpointPage(Response):
    """A page of endpoints, newest first."""

    items: list[EndpointInfo]
    next_cursor: NextCursor


class DeletedEndpoint(Response):
    """A webhook endpoint that was deleted."""

    id: str = Field(examples=["whe_01JTB3Y6M8Q4W2N7C5D9E0F1GH"])
    deleted: Literal[True] = True


class Redeliver(Request):
    """Where to deliver an event again."""

    endpoint_id: Annotated[str, StringConstraints(max_length=64)] | None = Field(
        None,
        description="only to this endpoint; if omitted, to the split's own URL and to each enabled"
        " endpoint that receives such events",
    )


def _distinct(events: list[EventType] | None) -> list[EventType] | None:
    if events is not None and len(set(events)) != len(events):
        raise ValueError("must not repeat an event")
    return events


def shown_endpoint(endpoint: Endpoint) -> EndpointInfo:
    """Return an endpoint as the API shows it."""
    return EndpointInfo.model_validate(_endpoint_fields(endpoint))


def shown_with_secret(endpoint: Endpoint, secret: str) -> EndpointSecret:
    """Return an endpoint with its new secret as the API shows it."""
    return EndpointSecret.model_validate({**_endpoint_fields(endpoint), "secret": secret})


def _endpoint_fields(endpoint: Endpoint) -> dict[str, object]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "events": endpoint.events,
        "disabled": endpoint.disabled_reason is not None,
        "disabled_reason": endpoint.disabled_reason,
        "disabled_at": endpoint.disabled_at and times.to_wire(endpoint.disabled_at),
        "failing_since": endpoint.failing_since and times.to_wire(endpoint.failing_since),
        "previous_secret_until": endpoint.previous_secret_until
        and times.to_wire(endpoint.previous_secret_until),
        "created_at": times.to_wire(endpoint.created_at),
        "updated_at": times.to_wire(endpoint.updated_at),
        "description": endpoint.description,
    }


def shown(delivery: Delivery, event: Event) -> DeliveryInfo:
    """Return a delivery as the API shows it."""
    return DeliveryInfo.model_validate(_fields(delivery, event))


def shown_with_log(delivery: Delivery, event: Event, attempts: Sequence[Attempt]) -> DeliveryDetail:
    """Return a delivery with its log as the API shows it."""
    log = [
        {
            "number": attempt.number,
            "started_at": times.to_wire(attempt.started_at),
            "status": attempt.status,
            "latency_seconds": attempt.latency_seconds,
            "answer": attempt.excerpt,
            "error": attempt.error,
            "next_attempt_at": attempt.next_attempt_at and times.to_wire(attempt.next_attempt_at),
        }
        for attempt in attempts
    ]
    return DeliveryDetail.model_validate({**_fields(delivery, event), "log": log})


def _fields(delivery: Delivery, event: Event) -> dict[str, object]:
    return {
        "id": delivery.id,
        "state": delivery.state,
        "url": delivery.url,
        "endpoint_id": delivery.endpoint_id,
        "stem": delivery.stem,
        "event_id": event.id,
        "type": event.type,
        "split_id": event.split_id,
        "attempts": delivery.attempts,
        "reason": delivery.reason,
        "created_at": times.to_wire(delivery.created_at),
        "next_attempt_at": delivery.next_attempt_at and times.to_wire(delivery.next_attempt_at),
        "finished_at": delivery.finished_at and times.to_wire(delivery.finished_at),
        "test": event.test,
    }
