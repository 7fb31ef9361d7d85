"""Webhook deliveries as the service makes them, signatures and all."""

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
    """A delivery: post ``body`` with ``headers`` to the receiver that is tested."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def event_id(self) -> str:
        """The event's id, the same in every delivery of it."""
        return str(json.loads(self.body)["id"])


def sign(
    body: bytes, secret: str | Sequence[str] = SECRET, *, timestamp: int | None = None
) -> dict[str, str]:
    """The signature header for a body.

    Args:
        secret: the signing secret, or several, as while one is being rotated.
        timestamp: Unix seconds; None for now.
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
    """A delivery of ``split.succeeded``.

    Args:
        stems: name to URL; None for four under example.com.
        fields: of the split, by their names on the wire, such as ``metadata={"song": "7"}``.
    """
    if stems is None:
        names = ("drums", "bass", "other", "vocals")
        stems = {name: f"https://example.com/{split_id}/{name}.wav" for name in names}
    data = split_json(split_id, "succeeded", stems=dict(stems), progress=1.0, **fields)
    return delivery("split.succeeded", data, secret=secret, timestamp=timestamp)


def split_failed(
    split_id: str = "split_test",
    *,
    code: str = "UNSUPPORTED_MEDIA",
    message: str = "this is not audio",
    secret: str | Sequence[str] = SECRET,
    timestamp: int | None = None,
    **fields: Any,
) -> Delivery:
    """A delivery of ``split.failed``.

    Args:
        fields: of the split, by their names on the wire.
    """
    error = {"code": code, "message": message}
    data = split_json(split_id, "failed", error=error, **fields)
    return delivery("split.failed", data, secret=secret, timestamp=timestamp)


def delivery(
    kind: str,
    data: Mapping[str, Any],
    *,
    secret: str | Sequence[str] = SECRET,
    timestamp: int | None = None,
) -> Delivery:
    """A delivery of an event of this type about this split."""
    event = {
        "id": f"evt_{uuid.uuid4().hex}",
        "type": kind,
        "event": "audio.split.completed",
        "createdAt": data["updatedAt"],
        "data": data,
    }
    body = json.dumps(event).encode()
    signature = sign(body, secret, timestamp=timestamp)
    return Delivery({"Content-Type": "application/json", **signature}, body)
