"""Signed webhook deliveries like those of the service."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aistemsplitter._secret import Secret
from aistemsplitter._webhooks import SIGNATURE_HEADER, signature_header
from aistemsplitter.testing._wire import split_json

SECRET = "whsec_test"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Webhook delivery: POST ``body`` with ``headers`` to the receiver under test."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """Id of the event, the same in every delivery of it."""
        return str(json.loads(self.body)["id"])


def sign(
    body: bytes, secret: str | Sequence[str] = SECRET, *, timestamp: int | None = None
) -> dict[str, str]:
    """Return the signature header for a body, as a dictionary.

    Args:
        body: Body of the delivery.
        secret: Signing secret, or several as during a rotation.
        timestamp: Time of the signature in Unix seconds; now if omitted.
    """
    secrets = [Secret(one) for one in ([secret] if isinstance(secret, str) else secret)]
    moment = int(time.time()) if timestamp is None else timestamp
    return {SIGNATURE_HEADER: signature_header(secrets, moment, body)}


def split_succeeded(
    split_id: str = "split_test",
    *,
    stems: Mapping[str, str] | None = None,
    secret: str | Sequence[str] = SECRET,
    timestamp: int | None = None,
    **fields: Any,
) -> Delivery:
    """Create a delivery of ``split.succeeded``.

    Args:
        split_id: Id of the split.
        stems: URLs by stem name; four URLs under example.com if omitted.
        secret: Signing secret, or several as during a rotation.
        timestamp: Time of the signature in Unix seconds; now if omitted.
        fields: Fields of the split by their JSON keys, such as ``metadata={"song": "7"}``.
    """
    if stems is None:
        names = ("drums", "bass", "other", "vocals")
        stems = {name: f"https://example.com/{split_id}/{name}.wav" for name in names}
    data = split_json(split_id, "succeeded", stems=dict(stems), progress=1.0, **fields)
    return delivery(event_of(data, _new_id()), secret=secret, timestamp=timestamp)


def split_failed(
    split_id: str = "split_test",
    *,
    code: str = "UNSUPPORTED_MEDIA",
    message: str = "the file is not audio",
    secret: str | Sequence[str] = SECRET,
    timestamp: int | None = None,
    **fields: Any,
) -> Delivery:
    """Create a delivery of ``split.failed``.

    Args:
        split_id: Id of the split.
        code: Error code of the split.
        message: Error message of the split.
        secret: Signing secret, or several as during a rotation.
        timestamp: Time of the signature in Unix seconds; now if omitted.
        fields: Fields of the split by their JSON keys.
    """
    error = {"code": code, "message": message}
    data = split_json(split_id, "failed", error=error, **fields)
    return delivery(event_of(data, _new_id()), secret=secret, timestamp=timestamp)


def event_of(split: Mapping[str, Any], event_id: str | None = None) -> dict[str, Any]:
    """Return the JSON of the event of a split that is done.

    Args:
        split: JSON of the split.
        event_id: Id of the event; if omitted, always the same one for the same split.
    """
    return {
        "id": event_id or f"evt_{split['id'].removeprefix('split_')}",
        "type": f"split.{split['status']}",
        "event": "audio.split.completed",
        "createdAt": split["updatedAt"],
        "data": split,
    }


def delivery(
    event: Mapping[str, Any],
    *,
    secret: str | Sequence[str] = SECRET,
    timestamp: int | None = None,
) -> Delivery:
    """Create a delivery of an event.

    Args:
        event: JSON of the event.
        secret: Signing secret, or several as during a rotation.
        timestamp: Time of the signature in Unix seconds; now if omitted.
    """
    body = json.dumps(event).encode()
    signature = sign(body, secret, timestamp=timestamp)
    return Delivery({"Content-Type": "application/json", **signature}, body)


def _new_id() -> str:
    return f"evt_{uuid.uuid4().hex}"
