"""JSON of the fake service's responses, with the keys and their order of the real API."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from aistemsplitter._effects import Reply, Request


def timestamp(ahead: float = 0) -> str:
    """Return the time ``ahead`` seconds from now in the API's format."""
    moment = datetime.now(UTC) + timedelta(seconds=ahead)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def split_json(split_id: str, status: str, **fields: Any) -> dict[str, Any]:
    """Return the JSON of a split.

    Raises:
        TypeError: A field does not exist.
    """
    now = timestamp()
    whole: dict[str, Any] = {
        "id": split_id,
        "status": status,
        "stemModel": "htdemucs_ft",
        "filename": "song.mp3",
        "durationSeconds": 180,
        "creditsUsed": 180,
        "createdAt": now,
        "updatedAt": now,
        "stems": {},
        "error": None,
        "progress": 0.0,
        "queuePosition": None,
        "outputFormat": "wav",
        "sampleRate": 44100,
        "expiresAt": timestamp(24 * 3600),
        "servedBy": "htdemucs_ft",
        "analysis": None,
        "options": None,
        "warnings": [],
        "metadata": {},
    }
    if unknown := fields.keys() - whole.keys():
        raise TypeError(f"a split has no {', '.join(sorted(unknown))}")
    whole.update(fields)
    if not whole["stems"]:
        del whole["stems"]
    return whole


def page(newest: Sequence[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON of a page of a list.

    Args:
        newest: JSON of all items.
        query: Parameters of the request.
    """
    limit, start = int(query.get("limit", "20")), int(query.get("cursor", "0"))
    more = start + limit < len(newest)
    cursor = str(start + limit) if more else None
    return {"items": [*newest[start : start + limit]], "nextCursor": cursor}


def first(query: str) -> dict[str, str]:
    """Return the first value of each query parameter."""
    parsed = parse_qs(query, keep_blank_values=True)
    return {name: values[0] for name, values in parsed.items()}


def body_of(request: Request) -> Mapping[str, Any]:
    """Return the JSON of a request.

    Raises:
        Rejected: It is not a JSON object.
    """
    try:
        body = json.loads(request.body if isinstance(request.body, bytes) else b"")
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Rejected(422, "VALIDATION_ERROR", "the body is not a JSON object")
    return body


def success(data: Any, **headers: str) -> Reply:
    """Return a successful response with data."""
    return _reply(200, {"success": True, "data": data}, headers)


def failure(
    status: int, code: str, message: str, details: Mapping[str, Any], **headers: str
) -> Reply:
    """Return an error response."""
    error = {"code": code, "message": message, **details}
    return _reply(status, {"success": False, "error": error}, headers)


def _reply(status: int, envelope: Any, headers: Mapping[str, str]) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps(envelope).encode()
    return Reply(status, {"content-type": "application/json", **named}, body)


class Rejected(Exception):
    """A request that the service answers with an error.

    Attributes:
        reply: The response.
    """

    def __init__(self, status: int, code: str, message: str, **details: Any) -> None:
        super().__init__(message)
        self.reply = failure(status, code, message, details)
