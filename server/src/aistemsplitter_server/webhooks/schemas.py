"""Schemas of deliveries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.schemas import NextCursor, Response
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Event

State = Literal["pending", "delivered", "failed"]


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
    """A delivery of an event to one URL."""

    id: str
    state: State
    url: str
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
