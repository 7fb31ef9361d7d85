"""Deliveries of the service: checked first, in constant time, and only then read.

The header is ``AIStemSplitter-Signature: t=<unix seconds>,v1=<hex>``, with one ``v1=`` for each
live secret; ``v1`` is HMAC-SHA256 with the signing secret over ``<t>.<raw body>``.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from aistemsplitter import _settings
from aistemsplitter._decode import camel, decode
from aistemsplitter._errors import ConfigurationError, InvalidWebhook, UnexpectedResponse
from aistemsplitter._models import Split
from aistemsplitter._secret import Secret

SIGNATURE_HEADER = "AIStemSplitter-Signature"
TOLERANCE = 300.0  # seconds that a delivery may be old, or ahead of this machine's clock


class _HasItems(Protocol):
    def items(self) -> Iterable[tuple[Any, Any]]: ...


#: Headers as any framework gives them: something with ``items()``, or pairs.
HeadersLike = Mapping[str, str] | _HasItems | Iterable[tuple[Any, Any]]


class _Items(Mapping[str, Any]):
    """Item access to what came, by the names on the wire or by those of the attributes."""

    __slots__ = ()
    raw: Mapping[str, Any]

    def __getitem__(self, key: str) -> Any:
        return self.raw[key if key in self.raw else camel(key)]

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class EventData(Split, _Items):
    """The split that an event tells of: ``data.stems`` and ``data["stems"]`` are both there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent(_Items):
    """A verified event; attributes, or items by the names on the wire.

    Attributes:
        id: the same in every delivery of this event; handle each id once.
        type: ``split.succeeded`` or ``split.failed``; a later service may send others.
        data: the split, with its stems or its error.
        test: a sample that was asked for to try the receiver; there is no such split.
    """

    id: str
    type: str
    data: EventData
    event: str | None = None
    created_at: datetime | None = None
    test: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


def verify_signature(
    headers: HeadersLike,
    raw_body: bytes | str,
    secret: str | Sequence[str] | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> WebhookEvent:
    """The event of a delivery that this service has signed, lately.

    Args:
        headers: of the request, as any framework gives them.
        raw_body: the bytes as they came, before any parsing.
        secret: the signing secret (``whsec_...``), or several while one is being rotated; None for
            AISTEMSPLITTER_WEBHOOK_SECRET.
        tolerance: seconds that the signature's time may differ from now, either way.

    Raises:
        InvalidWebhook: whatever is wrong with headers or body.
        ConfigurationError: there is no secret.
    """
    return verify(headers, raw_body, _settings.webhook_secrets(secret), tolerance)


def verify(
    headers: HeadersLike, raw_body: bytes | str, secrets: tuple[Secret, ...], tolerance: float
) -> WebhookEvent:
    """The same, with secrets at hand."""
    if not secrets:
        raise ConfigurationError(
            "no webhook secret: set AISTEMSPLITTER_WEBHOOK_SECRET or pass the secret"
        )
    body = _bytes(raw_body)
    moment, signatures = _read_header(_only_header(headers))
    expected = [_signature(secret, moment, body) for secret in secrets]
    # All are compared, so that the time taken does not tell which of them matched.
    matches = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    if not any(matches):
        raise InvalidWebhook("no signature matches: another secret, or the body was changed")
    if not abs(time.time() - int(moment)) <= tolerance:
        raise InvalidWebhook(f"signed more than {tolerance:g} s from now, by this machine's clock")
    return _event(body)


def signature_header(secrets: Sequence[Secret], moment: int, body: bytes) -> str:
    """The header's value for a body signed with each of the secrets."""
    signed = (f"v1={_signature(secret, str(moment), body).decode()}" for secret in secrets)
    return ",".join((f"t={moment}", *signed))


def _signature(secret: Secret, moment: str, body: bytes) -> bytes:
    key = secret.reveal().encode("utf-8", "surrogatepass")
    return hmac.new(key, moment.encode() + b"." + body, hashlib.sha256).hexdigest().encode()


def _bytes(raw_body: object) -> bytes:
    if isinstance(raw_body, str):
        return raw_body.encode("utf-8", "surrogatepass")
    if isinstance(raw_body, (bytes, bytearray, memoryview)):
        return bytes(raw_body)
    raise InvalidWebhook(f"pass the body's raw bytes, not {type(raw_body).__name__}")


def _only_header(headers: Any) -> str:
    found = []
    try:
        for name, value in headers.items() if hasattr(headers, "items") else headers:
            if _text(name).lower() == SIGNATURE_HEADER.lower():
                found.append(_text(value))
    except (TypeError, ValueError):
        raise InvalidWebhook("the headers are neither a mapping nor pairs") from None
    if len(found) != 1:
        raise InvalidWebhook(f"{'more than one' if found else 'no'} {SIGNATURE_HEADER} header")
    return found[0]


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _read_header(value: str) -> tuple[str, list[bytes]]:
    moments, signatures = [], []
    for item in value.split(","):
        name, _, content = item.strip().partition("=")
        if name == "t":
            moments.append(content)
        elif name == "v1" and content.isascii():  # schemes of later versions are passed over
            signatures.append(content.lower().encode())
    digits = moments[0] if len(moments) == 1 else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12) or not signatures:
        raise InvalidWebhook(f"the {SIGNATURE_HEADER} header is not t=<seconds>,v1=<hex>")
    return digits, signatures


def _event(body: bytes) -> WebhookEvent:
    try:
        told = json.loads(body)
        known = isinstance(told, dict) and told.get("type") in ("split.succeeded", "split.failed")
        if isinstance(told, dict) and isinstance(data := told.get("data", {}), dict) and not known:
            # An event of a later service need not be about a split.
            data = {"id": "", "status": "", **data}
            return decode(WebhookEvent, {**told, "data": data}, "event")
        return decode(WebhookEvent, told, "event")
    except (ValueError, RecursionError):
        reason = "it is no JSON"
    except UnexpectedResponse as problem:
        reason = problem.message
    raise InvalidWebhook(f"the signature is good, but the body is no event: {reason}")
