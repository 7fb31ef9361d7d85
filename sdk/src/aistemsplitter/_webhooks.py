"""Webhook deliveries: verified in constant time first, and only then parsed.

The header is ``AIStemSplitter-Signature: t=<unix seconds>,v1=<hex>``, with one ``v1=`` for each
live secret; ``v1`` is HMAC-SHA256 with the signing secret over ``<t>.<raw body>``.
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
TOLERANCE = 300.0  # seconds that a delivery may be old, or ahead of this machine's clock
NO_SECRET = "no webhook secret: set AISTEMSPLITTER_WEBHOOK_SECRET or pass the secret"


class _HasItems(Protocol):
    def items(self) -> Iterable[tuple[Any, Any]]: ...


#: Headers as any framework gives them: something with ``items()``, or pairs.
HeadersLike = Mapping[str, str] | _HasItems | Iterable[tuple[Any, Any]]


class _Items(Mapping[str, Any]):
    """Item access to the JSON, by the names on the wire or by those of the attributes."""

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
    """The split of an event. ``data.stems`` and ``data["stems"]`` both work."""

    def __hash__(self) -> int:
        return hash(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookEvent(Serializable, _Items):
    """A verified event, read by attributes or as a mapping by the names on the wire.

    Attributes:
        id: the same in every delivery of this event; handle each id once.
        type: ``split.succeeded`` or ``split.failed``; a later service may send others.
        data: the split, with its stems or its error.
        test: True for a sample event sent to try the receiver; its split does not exist.
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
        headers: headers of the request, in the form any framework has them.
        raw_body: the bytes as they were received, before any parsing.
        secret: signing secret (``whsec_...``), or several during a rotation; read from
            ``AISTEMSPLITTER_WEBHOOK_SECRET`` if omitted.
        tolerance: seconds that the signature's time may differ from now, either way.

    Raises:
        InvalidWebhook: headers or body are not those of a genuine, recent delivery.
        ConfigurationError: there is no secret. It is also logged as an error, once.
    """
    return verify(headers, raw_body, _settings.webhook_secrets(secret), tolerance)


def verify(
    headers: HeadersLike, raw_body: bytes | str, secrets: tuple[Secret, ...], tolerance: float
) -> WebhookEvent:
    """Verify a delivery with the secrets that were found."""
    if not secrets:
        _log_missing_secret()
        raise ConfigurationError(NO_SECRET)
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


@cache
def _log_missing_secret() -> None:
    """Log once: a receiver that answers any exception with 400 hides the error that is raised."""
    logger.error("%s. Until then every webhook delivery is refused", NO_SECRET)


def signature_header(secrets: Sequence[Secret], moment: int, body: bytes) -> str:
    """Return the header's value for a body signed with each of the secrets."""
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
