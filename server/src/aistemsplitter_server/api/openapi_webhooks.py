"""The OpenAPI document's webhooks: the requests that the service sends."""

from __future__ import annotations

from typing import Any

from aistemsplitter_server.api import responses
from aistemsplitter_server.webhooks.tables import EVENT_TYPES, EventType

Json = dict[str, Any]

WHEN = {"split.succeeded": "A split has succeeded", "split.failed": "A split has failed"}
DESCRIPTION = """\
Sent to the split's `webhookUrl`, signed with the webhook secret of its API key, and to each webhook
endpoint that receives such events, signed with the endpoint's secret. Anything but a 2xx within
15 s is retried for more than a day. An event can arrive more than once and in any order: use its
`id` to recognise repeats."""
HEADERS = {
    "AIStemSplitter-Signature": "`t=<unix seconds>,v1=<hex>`: `v1` is the HMAC-SHA256 of"
    " `<t>.<raw body>` with the secret. There are two while a secret is rotated.",
    "webhook-id": "The event's id; this and the next two are those of Standard Webhooks.",
    "webhook-timestamp": "Unix seconds.",
    "webhook-signature": "`v1,<base64>`, separated by spaces.",
}


def section(event: Json) -> Json:
    """Return the document's ``webhooks``.

    Args:
        event: The schema of an event, with its example.
    """
    return {kind: {"post": _operation(kind, event["examples"][0])} for kind in EVENT_TYPES}


def _operation(kind: EventType, example: Json) -> Json:
    first, second = kind.split(".")
    own = {"type": "object", "properties": {"type": {"const": kind, "type": "string"}}}
    schema = {"allOf": [{"$ref": f"{responses.SCHEMAS}WebhookEvent"}, own]}
    return {
        "tags": ["webhooks"],
        "summary": WHEN[kind],
        "description": DESCRIPTION,
        "operationId": first + second.title(),
        "security": [],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": description,
                "schema": {"type": "string"},
            }
            for name, description in HEADERS.items()
        ],
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": schema, "example": _ended(kind, example)}},
        },
        "responses": {
            "2XX": {"description": "The event has arrived."},
            "410": {"description": "The receiver no longer exists. Its endpoint is disabled."},
            "default": {"description": "The delivery is retried, after `Retry-After` if present."},
        },
    }


def _ended(kind: EventType, example: Json) -> Json:
    """Return the example of an event, whose split has succeeded, for events of a type."""
    if kind == "split.succeeded":
        return example
    split = {name: value for name, value in example["data"].items() if name != "stems"}
    error = {"code": "UNSUPPORTED_MEDIA", "message": "This file isn't readable audio."}
    failed = {"status": "failed", "creditsUsed": 0, "error": error, "progress": 0.0}
    return {**example, "type": kind, "data": split | failed}
