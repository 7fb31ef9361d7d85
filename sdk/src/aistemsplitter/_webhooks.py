"""Webhooks: verification of deliveries, and their events.

Deliveries carry ``AIStemSplitter-Signature: t=<unix seconds>,v1=<hex>``, with one ``v1=`` for each
active secret; ``v1`` is the HMAC-SHA256 of ``<t>.<raw body>`` with the secret. Signatures are
compared in constant time, and a body is parsed only after it was verified.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Protocol

from aistemsplitter import _settings
from aistemsplitter._decode import camel, decode
from aistemsplitter._errors import ConfigurationError, InvalidWebhook, UnexpectedResponse
from aistemsplitter._logs import logger
from aistemsplitter._models import Serializable, Split, raw_field
from aistemsplitter._secret import Secret

SIGNATURE_HEADER = "AIStemSplitter-Signature"
KNOWN_EVENTS = ("split.succeeded", "split.failed")
TOLERANCE = 300.0  # maximum difference between a signature's time and this clock, in seconds
NO_SECRET = "no webhook secret: set AISTEMSPLITTER_WEBHOOK_SECRET or pass the secret"


class _HasItems(Protocol):
    def items(self) -> Iterable[tuple[Any, Any]]: ...


#: Headers as any web framework provides them: an object with ``items()``, or pairs.
HeadersLike = Mapping[str, str] | _HasItems | Iterable[tuple[Any, Any]]


class _Items(Mapping[str, Any]):
    """Item access to the JSON, by its keys or by the names of the attributes."""

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
    """Split of a webhook event, with attributes and items: ``data.stems`` and ``data["stems"]``."""

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent(Serializable, _Items):
    """Verified webhook event, read by attributes or, as a mapping, by its JSON keys.

    Attributes:
        id: Id of the event, the same in every delivery of it; handle each id once.
        type: ``split.succeeded`` or ``split.failed``; a newer service may send others.
        data: The split, with its stems or its error.
        event: Older name of the kind of event.
        created_at: Time of the event.
        test: True for a sample event that tests the receiver; its split does not exist.
        raw: JSON of the event as the service sent it.
    """

    id: str
    type: str
    data: EventData
    event: str | None = None
    created_at: datetime | None = None
    test: bool = False
    raw: Mapping[str, Any] = raw_field()

    def __hash__(self) -> int:
        return hash(self.id)


def verify_signature(
    headers: HeadersLike,
    raw_body: bytes | str,
    secret: str | Sequence[str] | None = None,
    *,
    tolerance: float = TOLERANCE,
) -> WebhookEvent:
    """Verify a webhook delivery and return its event.

    Args:
        headers: Headers of the request, as any web framework provides them.
        raw_body: Body of the request exactly as received, before any parsing.
        secret: Signing secret (``whsec_...``), or several during a rotation; read from
            ``AISTEMSPLITTER_WEBHOOK_SECRET`` if omitted.
        tolerance: Maximum difference between the signature's timestamp and this machine's clock,
            in seconds.

    Raises:
        InvalidWebhook: The headers or the body are not those of a genuine, recent delivery.
        ConfigurationError: There is no secret. This is also logged as an error, once.
    """
    return verify(headers, raw_body, _settings.webhook_secrets(secret), tolerance)


def verify(
    headers: HeadersLike, raw_body: bytes | str, secrets: tuple[Secret, ...], tolerance: float
) -> WebhookEvent:
    """Verify a webhook delivery with these secrets and return its event."""
    if not secrets:
        _log_missing_secret()
        raise ConfigurationError(NO_SECRET)
    body = _bytes(raw_body)
    moment, signatures = _read_header(_only_header(headers))
    expected = [_signature(secret, moment, body) for secret in secrets]
    # All are compared, so that the time taken does not reveal which of them matched.
    matches = [hmac.compare_digest(one, other) for one in expected for other in signatures]
    if not any(matches):
        raise InvalidWebhook(
            "no signature matches: check the webhook secret, and pass the body exactly as received"
        )
    if not abs(time.time() - int(moment)) <= tolerance:
        raise InvalidWebhook(
            f"the signature's time is more than {tolerance:g} s from now. Check this machine's"
            " clock"
        )
    return _event(body)


@cache
def _log_missing_secret() -> None:
    """Log the error once, because receivers that answer 400 to any exception hide the exception."""
    logger.error("%s. Every webhook delivery is rejected until then", NO_SECRET)


def signature_header(secrets: Sequence[Secret], moment: int, body: bytes) -> str:
    """Return the signature header's value for a body, signed with each of the secrets."""
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
    raise InvalidWebhook(f"the body must be its raw bytes, not {type(raw_body).__name__}")


def _only_header(headers: Any) -> str:
    found = []
    try:
        for name, value in headers.items() if hasattr(headers, "items") else headers:
            if _text(name).lower() == SIGNATURE_HEADER.lower():
                found.append(_text(value))
    except (TypeError, ValueError):
        raise InvalidWebhook("the headers must be a mapping or pairs") from None
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
        elif name == "v1" and content.isascii():  # signatures of later schemes are ignored
            signatures.append(content.lower().encode())
    digits = moments[0] if len(moments) == 1 else ""
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 12) or not signatures:
        raise InvalidWebhook(f"the {SIGNATURE_HEADER} header is not t=<seconds>,v1=<hex>")
    return digits, signatures


def _event(body: bytes) -> WebhookEvent:
    try:
        event = json.loads(body)
        known = isinstance(event, dict) and event.get("type") in KNOWN_EVENTS
        data = event.get("data", {}) if isinstance(event, dict) else None
        if isinstance(data, dict) and not known:
            # Events that a newer service adds need not be about a split.
            event = {**event, "data": {"id": "", "status": "", **data}}
        return decode(WebhookEvent, event, "event")
    except (ValueError, RecursionError):
        reason = "it is not JSON"
    except UnexpectedResponse as problem:
        reason = problem.message
    raise InvalidWebhook(f"the signature is valid, but the body is not an event: {reason}")
