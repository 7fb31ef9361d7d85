"""The API's calls on webhook endpoints and events as operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from aistemsplitter._core import Session, call, fetch
from aistemsplitter._decode import decode
from aistemsplitter._effects import Operation
from aistemsplitter._errors import InputError, NotFound, UnexpectedResponse
from aistemsplitter._operations import page_query
from aistemsplitter._paths import endpoint_id_of, endpoint_path, event_path
from aistemsplitter._types import EventId, WebhookEndpointId
from aistemsplitter._webhook_models import (
    DeletedWebhookEndpoint,
    EventPageData,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEndpointPageData,
)
from aistemsplitter._webhooks import WebhookEvent

ENDPOINTS = "/webhooks/endpoints"


def create_endpoint(
    session: Session, url: str, events: Sequence[str] | None, description: str | None
) -> Operation[WebhookEndpoint]:
    """Create a webhook endpoint."""
    body = _fields(url, events, description, None)
    return fetch(session, WebhookEndpoint, "POST", ENDPOINTS, body=body)


def list_endpoints(
    session: Session, limit: int | None, cursor: str | None
) -> Operation[WebhookEndpointPageData]:
    """Return one page of the account's webhook endpoints."""
    query = page_query(limit, cursor)
    return fetch(session, WebhookEndpointPageData, "GET", ENDPOINTS, query=query)


def get_endpoint(session: Session, endpoint: WebhookEndpointId) -> Operation[WebhookEndpoint]:
    """Return a webhook endpoint."""
    return fetch(session, WebhookEndpoint, "GET", endpoint_path(endpoint))


def update_endpoint(
    session: Session,
    endpoint: WebhookEndpointId,
    url: str | None,
    events: Sequence[str] | None,
    description: str | None,
    disabled: bool | None,
) -> Operation[WebhookEndpoint]:
    """Change a webhook endpoint."""
    body = _fields(url, events, description, disabled)
    return fetch(session, WebhookEndpoint, "PATCH", endpoint_path(endpoint), body=body)


def _fields(
    url: str | None, events: Sequence[str] | None, description: str | None, disabled: bool | None
) -> dict[str, Any]:
    if events is not None and (isinstance(events, str) or not isinstance(events, Sequence)):
        raise InputError('events= must be a list of types, such as ["split.failed"]')
    fields = {
        "url": url,
        "events": None if events is None else [*events],
        "description": description,
        "disabled": disabled,
    }
    return {name: value for name, value in fields.items() if value is not None}


def delete_endpoint(
    session: Session, endpoint: WebhookEndpointId
) -> Operation[DeletedWebhookEndpoint]:
    """Delete a webhook endpoint. A retry that finds it already deleted succeeds too."""
    answer = yield from call(session, "DELETE", endpoint_path(endpoint), settled=NotFound)
    return decode(
        DeletedWebhookEndpoint, answer or {"id": endpoint_id_of(endpoint), "deleted": True}
    )


def rotate_secret(session: Session, endpoint: WebhookEndpointId) -> Operation[WebhookEndpoint]:
    """Replace the secret of a webhook endpoint.

    It is not retried: if only the response was lost, a retry would end the secret in use.
    """
    path = endpoint_path(endpoint) + "/rotate-secret"
    return fetch(replace(session, max_retries=0), WebhookEndpoint, "POST", path)


def list_events(
    session: Session, type: str | None, limit: int | None, cursor: str | None
) -> Operation[EventPageData]:
    """Return one page of the account's events."""
    query = page_query(limit, cursor) | ({} if type is None else {"type": type})
    return fetch(session, EventPageData, "GET", "/events", query=query)


def get_event(session: Session, event: EventId) -> Operation[WebhookEvent]:
    """Return an event."""
    return fetch(session, WebhookEvent, "GET", event_path(event))


def redeliver(
    session: Session, event: EventId, endpoint: WebhookEndpointId | None
) -> Operation[tuple[WebhookDelivery, ...]]:
    """Deliver an event again."""
    body = {} if endpoint is None else {"endpointId": endpoint_id_of(endpoint)}
    path = event_path(event) + "/redeliver"
    return call(session, "POST", path, body=body, result=_deliveries)


def _deliveries(data: Any) -> tuple[WebhookDelivery, ...]:
    if not isinstance(data, list) or not all(isinstance(each, Mapping) for each in data):
        raise UnexpectedResponse("data is not a list of deliveries")
    return tuple(decode(WebhookDelivery, each, f"data[{i}]") for i, each in enumerate(data))
