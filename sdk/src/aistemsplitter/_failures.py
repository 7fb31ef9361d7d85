"""Public errors for failed requests: those without a complete response and error responses."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from aistemsplitter._effects import Failure, Reply, Request
from aistemsplitter._errors import (
    AccountSuspended,
    AiStemSplitterError,
    APIError,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InsufficientCredits,
    LimitExceeded,
    ModelUnavailable,
    NotFound,
    PayloadTooLarge,
    RateLimited,
    RedirectRefused,
    ServerError,
    ServiceUnavailable,
    TLSFailed,
    Unauthorized,
    UnexpectedResponse,
    ValidationFailed,
)

BY_CODE: dict[str, type[APIError]] = {
    kind.default_code: kind
    for kind in (
        Unauthorized,
        InsufficientCredits,
        Forbidden,
        AccountSuspended,
        NotFound,
        Conflict,
        IdempotencyInProgress,
        LimitExceeded,
        ModelUnavailable,
        PayloadTooLarge,
        ValidationFailed,
        IdempotencyMismatch,
        RateLimited,
        ServerError,
        ServiceUnavailable,
    )
}
BY_STATUS: dict[int, type[APIError]] = {
    401: Unauthorized,
    402: InsufficientCredits,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: PayloadTooLarge,
    422: ValidationFailed,
    429: RateLimited,
    503: ServiceUnavailable,
}
SECRET_HEADERS = ("location", "set-cookie")  # a redirect's target may contain a signature


def error_from_failure(failure: Failure, request: Request) -> AiStemSplitterError:
    """Return the public error for a request that got no complete response."""
    host = urlsplit(request.url).netloc
    if failure.kind == "tls":
        return TLSFailed(f"no trusted connection to {host}: {failure}")
    if failure.kind == "connection":
        error = ConnectionFailed(f"no answer from {host}: {failure}")
        error.__cause__ = failure.__cause__
        return error
    if failure.kind == "deadline":
        return DeadlineExceeded(f"no answer from {host} within the call's deadline")
    return DeadlineExceeded(f"no answer from {host}: {failure}")


def error_from_reply(reply: Reply, request: Request) -> AiStemSplitterError:
    """Return the public error for a response that is not a success."""
    status, host = reply.status, urlsplit(request.url).netloc
    facts: dict[str, Any] = {
        "status": status,
        "request_id": request_id(reply.headers),
        "response": without_secrets(reply),
    }
    if status < 300:
        return UnexpectedResponse(
            f"{host} answered {status}, which this call does not expect", **facts
        )
    if status < 400:
        target = _host_of(reply.headers.get("location", "")) or "another path"
        return RedirectRefused(
            f"{host} redirects to {target}; not followed, because the API key must not go"
            " elsewhere. Check the base URL",
            **facts,
        )
    parsed = parse_json(reply.body)
    error = parsed.get("error") if isinstance(parsed, dict) else None
    details: dict[str, Any] = error if isinstance(error, dict) else {}
    code, message = details.get("code"), details.get("message")
    kind: type[APIError] = BY_STATUS.get(status, ServerError if status > 499 else APIError)
    if isinstance(code, str):
        kind = BY_CODE.get(code, kind)
    else:
        code = None if status in BY_STATUS else f"HTTP_{status}"
    facts.update(
        code=code,
        retry_after=retry_after(reply.headers),
        required_seconds=_seconds(details, "requiredSeconds"),
        details=details,
    )
    text = message if isinstance(message, str) and message else f"{host} answered {status}"
    if kind is InsufficientCredits:
        return _insufficient_credits(text, facts)
    return kind(text, **facts)


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:  # for example "http://["
        return "an invalid URL"


def _insufficient_credits(text: str, facts: dict[str, Any]) -> InsufficientCredits:
    needed, balance = facts["required_seconds"], _seconds(facts["details"], "balanceSeconds")
    if needed is not None and balance is not None:
        text += f"; {max(0, needed - balance)} seconds missing (needs {needed}, has {balance})"
    elif needed is not None:
        text += f"; needs {needed} seconds"
    return InsufficientCredits(text, balance_seconds=balance, **facts)


def without_secrets(reply: Reply) -> Reply:
    """Return the response without cookies and redirect targets, for an error to keep."""
    headers = {name: value for name, value in reply.headers.items() if name not in SECRET_HEADERS}
    return Reply(reply.status, headers, reply.body)


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the request id that the service assigned."""
    return headers.get("request-id")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the ``Retry-After`` header in seconds, given as a number or a date; None if absent."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return float(value)
    if not value:
        return None
    from email.utils import parsedate_to_datetime  # rarely needed, slow to import

    try:
        moment = parsedate_to_datetime(value)
        return max(0.0, moment.timestamp() - time.time())
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None


def parse_json(body: bytes) -> Any:
    """Return a response's JSON, None if it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _seconds(details: Mapping[str, Any], key: str) -> int | None:
    value = details.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
