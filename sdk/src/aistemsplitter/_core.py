"""One call of the API, without I/O: deadline, retries, idempotency, and reading the answer.

Retried are connection errors, 408, 409 in progress, 429 and 5xx, after a pause of full jitter:
evenly drawn from zero to a bound that doubles. Where the server says ``Retry-After``, its pause
comes first. A pause that would overrun the call's deadline is not begun.
"""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from urllib.parse import urlencode, urlsplit

from aistemsplitter import _errors
from aistemsplitter._decode import decode
from aistemsplitter._effects import Failure, Operation, Reply, Request, Sleep, Timeouts, send
from aistemsplitter._errors import (
    AiStemSplitterError,
    APIError,
    ConnectionFailed,
    DeadlineExceeded,
    IdempotencyInProgress,
    InsufficientCredits,
    RedirectRefused,
    ServerError,
    TLSFailed,
    UnexpectedResponse,
)

T = TypeVar("T")
logger = logging.getLogger("aistemsplitter")

FIRST_PAUSE = 0.5  # bound of the first pause, in seconds
LONGEST_PAUSE = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What all calls of a client share. Holds no key: that is the driver's.

    Attributes:
        base_url: with the version's path, without a slash at its end.
        max_retries: tries after the first.
        on_reply: is shown every reply of the API.
    """

    base_url: str
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_retries: int = 4
    idempotency_key: str | None = field(default=None, repr=False)
    on_reply: Callable[[Reply], None] | None = None
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    def pause(self, retries: int, retry_after: float | None = None) -> float:
        """Seconds before the next try, after so many retries."""
        bound: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(retries, 10))
        return (retry_after or 0.0) + self.jitter() * bound

    def until(self, deadline: float | None) -> Session:
        """The same, no call of which outlives the deadline."""
        if deadline is None:
            return self
        left = max(0.0, deadline - self.clock())
        total = min(self.timeouts.total, left)
        return replace(self, timeouts=replace(self.timeouts, total=total))


def call(
    session: Session,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    settled: type[APIError] | tuple[()] = (),
) -> Operation[Any]:
    """Make one call of the API, again where that may help; its answer's ``data``.

    Args:
        settled: the error that, after a retry, means that an earlier try was carried out and only
            its answer was lost. The result is None then.

    Raises:
        AiStemSplitterError: of the class that names the cause.
    """
    request = Request(
        method=method,
        url=session.base_url + path + ("?" + urlencode(query) if query else ""),
        headers={
            "Accept": "application/json",
            **({"Content-Type": "application/json"} if body is not None else {}),
            **(headers or {}),
        },
        body=None if body is None else _json(body),
        authorized=True,
        timeouts=session.timeouts,
        deadline=session.clock() + session.timeouts.total,
    )
    retries = 0
    while True:
        error: AiStemSplitterError
        try:
            reply = yield from send(request)
        except Failure as failure:
            error = error_of_failure(failure, request)
        else:
            if session.on_reply:
                session.on_reply(reply)
            logger.debug("%s %s: %s %s", method, path, reply.status, request_id(reply.headers))
            if reply.status < 300:
                return _data(reply)
            error = error_of_reply(reply.status, reply.headers, reply.body, request)
        if retries and isinstance(error, settled):
            return None
        pause = session.pause(retries, error.retry_after)
        late = request.deadline is not None and session.clock() + pause >= request.deadline
        # While an earlier try is at work only the deadline bounds the wait for its answer.
        at_work = isinstance(error, IdempotencyInProgress) and session.max_retries > 0
        spent = retries >= session.max_retries and not at_work
        if spent or late or not worth_a_retry(error):
            raise error
        logger.debug("%s %s: %s, again in %.1f s", method, path, error.code, pause)
        yield Sleep(pause)
        retries += 1


def fetch(session: Session, model: type[T], method: str, path: str) -> Operation[T]:
    """Make one call without a body and read its answer as a model."""
    return decode(model, (yield from call(session, method, path)))


def worth_a_retry(error: AiStemSplitterError) -> bool:
    """Whether the same request may fare better a moment later."""
    if isinstance(error, ConnectionFailed):
        return not isinstance(error, TLSFailed)
    if isinstance(error, DeadlineExceeded):
        return True  # a phase ran out; the call's own deadline is looked at apart
    if isinstance(error, (IdempotencyInProgress, ServerError)):
        return error.status != 501
    return error.status in (408, 429)


def error_of_failure(failure: Failure, request: Request) -> AiStemSplitterError:
    """The public error for an answer that did not come."""
    host = urlsplit(request.url).netloc
    if failure.kind == "tls":
        return TLSFailed(f"no trusted connection to {host}: {failure}")
    if failure.kind == "connection":
        return ConnectionFailed(f"no answer from {host}: {failure}")
    if failure.kind == "deadline":
        return DeadlineExceeded(f"no answer from {host} within the call's deadline")
    return DeadlineExceeded(f"no answer from {host}: {failure}")


def error_of_reply(
    status: int, headers: Mapping[str, str], body: bytes, request: Request
) -> AiStemSplitterError:
    """The public error for an answer that is no success."""
    if status < 400:
        target = urlsplit(headers.get("location", "")).netloc or "another path"
        return RedirectRefused(
            f"redirected from {urlsplit(request.url).netloc} to {target}; not followed, so that"
            " the key goes nowhere else. Is the base URL right?",
            status=status,
            request_id=request_id(headers),
        )
    told = _parse(body)
    failure = told.get("error") if isinstance(told, dict) else None
    details: dict[str, Any] = failure if isinstance(failure, dict) else {}
    code, message = details.get("code"), details.get("message")
    kind: type[APIError] = _errors.BY_STATUS.get(status, ServerError if status > 499 else APIError)
    if isinstance(code, str):
        kind = _errors.BY_CODE.get(code, kind)
    else:
        code = None if status in _errors.BY_STATUS else f"HTTP_{status}"
    facts: dict[str, Any] = {
        "code": code,
        "status": status,
        "request_id": request_id(headers),
        "retry_after": retry_after(headers),
        "required_seconds": _seconds(details, "requiredSeconds"),
        "details": details,
    }
    text = message if isinstance(message, str) and message else f"the server answered {status}"
    if kind is InsufficientCredits:
        needed, balance = facts["required_seconds"], _seconds(details, "balanceSeconds")
        if needed is not None and balance is not None:
            text += f"; {max(0, needed - balance)} seconds missing (needs {needed}, has {balance})"
        elif needed is not None:
            text += f"; needs {needed} seconds"
        return InsufficientCredits(text, balance_seconds=balance, **facts)
    return kind(text, **facts)


def request_id(headers: Mapping[str, str]) -> str | None:
    """The service's name for the request."""
    return headers.get("request-id")


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait, said as a number or a date; None if it does not."""
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


def _data(reply: Reply) -> Any:
    told = _parse(reply.body)
    if isinstance(told, dict) and told.get("success") is True and "data" in told:
        return told["data"]
    kind = reply.headers.get("content-type", "no content type").partition(";")[0]
    raise UnexpectedResponse(
        f"the answer is not one of this API ({kind}). Is the base URL right?",
        status=reply.status,
        request_id=request_id(reply.headers),
    )


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _json(body: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as problem:
        reason = str(problem)
    raise _errors.InputError(f"cannot be sent as JSON: {reason}")


def _seconds(details: Mapping[str, Any], key: str) -> int | None:
    value = details.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
