"""One call of the API without I/O: deadline, retries, idempotency, and reading the answer.

Connection errors, 408, 409 in progress, 429 and 5xx are retried with exponential backoff and full
jitter. A ``Retry-After`` of the server, capped at 60 s, comes on top. If the pause would end after
the call's deadline, the last error is raised instead.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
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
from aistemsplitter._idempotency import IdempotencyKeys
from aistemsplitter._logs import logger as logger
from aistemsplitter._models import Split
from aistemsplitter._secret import Secret

T = TypeVar("T")

FIRST_PAUSE = 0.5  # bound of the first pause, in seconds
LONGEST_PAUSE = 8.0
LONGEST_RETRY_AFTER = 60.0  # a storage that asks for a day must not hold a program for a day
REQUEST = "%s %s: %s in %.2f s (%s)"  # for the log: method, path, status, seconds, request id
CALL_TOTAL = 60.0  # seconds for a call of the API if the client has no total of its own


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Settings that all calls of a client share.

    Attributes:
        base_url: Base URL with the version's path, without a slash at its end.
        key: API key, sent to the API alone.
        headers: Headers of every call of the API; they replace the client's own.
        max_retries: Number of tries after the first.
        on_reply: Called with every reply of the API.
        deadline: Latest time for all that is done with this session, by ``clock``.
    """

    base_url: str
    key: Secret | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeouts: Timeouts = field(default_factory=Timeouts)
    max_retries: int = 4
    idempotency_keys: IdempotencyKeys | None = field(default=None, repr=False)
    on_reply: Callable[[Reply], None] | None = None
    deadline: float | None = None
    clock: Callable[[], float] = time.monotonic
    jitter: Callable[[], float] = random.random

    def pause(self, retries: int, retry_after: float | None = None) -> float:
        """Return the seconds to wait before the next try."""
        bound: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(retries, 10))
        return min(retry_after or 0.0, LONGEST_RETRY_AFTER) + self.jitter() * bound

    def headers_with(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return a call's headers; the session's own replace those of the same name."""
        return merged(headers, self.headers)

    def with_headers(self, headers: Mapping[str, str]) -> Session:
        """Return the settings of calls that send these headers too."""
        return replace(self, headers=merged(self.headers, headers))

    def within(self, seconds: float | None) -> Session:
        """Return the same session with a deadline this many seconds from now; None for no limit."""
        if seconds is None:
            return self
        deadline = self.clock() + seconds
        return replace(self, deadline=min(deadline, self.deadline or deadline))

    def out_of_time(self, pause: float = 0.0) -> bool:
        """Return True if the deadline will have passed after a pause."""
        return self.deadline is not None and self.clock() + pause >= self.deadline


def call(
    session: Session,
    method: str,
    path: str,
    *,
    body: Mapping[str, Any] | None = None,
    query: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
    settled: type[APIError] | tuple[()] = (),
    result: Callable[[Any], Any] = lambda data: data,
) -> Operation[Any]:
    """Make one call of the API, with retries, and return the ``data`` of its answer.

    Args:
        result: Function that makes the result from the ``data``.
        settled: Error that, after a retry, means that an earlier try was carried out and only its
            answer was lost. None is returned then.

    Raises:
        AiStemSplitterError: The class names the cause.
    """
    session = session.within(session.timeouts.total or CALL_TOTAL)
    request = Request(
        method=method,
        url=session.base_url + path + ("?" + urlencode(query) if query else ""),
        headers=session.headers_with(
            {
                "Accept": "application/json",
                **({"Content-Type": "application/json"} if body is not None else {}),
                **(headers or {}),
            }
        ),
        body=None if body is None else encode(body),
        key=session.key,
        timeouts=session.timeouts,
        deadline=session.deadline,
    )
    retries = 0
    while True:
        error: AiStemSplitterError
        started = session.clock()
        try:
            reply = yield from send(request)
        except Failure as failure:
            error = error_of_failure(failure, request)
        else:
            if session.on_reply:
                session.on_reply(reply)
            took = session.clock() - started
            logger.info(REQUEST, method, path, reply.status, took, request_id(reply.headers))
            if reply.status < 300:
                return _result(reply, result)
            error = error_of_reply(reply.status, reply.headers, reply.body, request)
        if retries and isinstance(error, settled):
            return None
        pause = session.pause(retries, error.retry_after)
        # While an earlier try is being processed, only the deadline limits the wait for its answer.
        in_progress = isinstance(error, IdempotencyInProgress) and session.max_retries > 0
        exhausted = retries >= session.max_retries and not in_progress
        if exhausted or session.out_of_time(pause) or not worth_a_retry(error):
            raise error
        logger.info("%s %s: %s, next try in %.1f s", method, path, error.code, pause)
        yield Sleep(pause)
        retries += 1


def fetch(session: Session, model: type[T], method: str, path: str, **content: Any) -> Operation[T]:
    """Make one call and return its answer as a model."""
    found: T = yield from call(session, method, path, result=partial(decode, model), **content)
    return found


def check_id(split: Split, split_id: str) -> Split:
    """Return the split, if it is the one that was asked for.

    Raises:
        UnexpectedResponse: It is another one: two processes may have shared a connection.
    """
    if split.id != split_id:
        raise UnexpectedResponse(f"The service was asked for {split_id} but sent {split.id}.")
    return split


def worth_a_retry(error: AiStemSplitterError) -> bool:
    """Return True if the same request may succeed a moment later."""
    if isinstance(error, ConnectionFailed):
        return not isinstance(error, TLSFailed)
    if isinstance(error, DeadlineExceeded):
        return True  # one phase timed out; the caller checks the deadline of the whole call
    if isinstance(error, (IdempotencyInProgress, ServerError)):
        return error.status != 501
    return error.status in (408, 429)


def error_of_failure(failure: Failure, request: Request) -> AiStemSplitterError:
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


def error_of_reply(
    status: int, headers: Mapping[str, str], body: bytes, request: Request
) -> AiStemSplitterError:
    """Return the public error for a response that is not a success."""
    if status < 300:
        return UnexpectedResponse(
            f"{urlsplit(request.url).netloc} answered {status}, which is not a usable answer.",
            status=status,
            request_id=request_id(headers),
            response=_kept(status, headers, body),
        )
    if status < 400:
        target = urlsplit(headers.get("location", "")).netloc or "another path"
        return RedirectRefused(
            f"redirected from {urlsplit(request.url).netloc} to {target}; not followed, so that"
            " the key goes nowhere else. Is the base URL right?",
            status=status,
            request_id=request_id(headers),
            response=_kept(status, headers, body),
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
        "response": _kept(status, headers, body),
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


def _kept(status: int, headers: Mapping[str, str], body: bytes) -> Reply:
    """Return the answer as an error keeps it: without cookies and signed addresses."""
    hidden = ("location", "set-cookie")
    return Reply(status, {k: v for k, v in headers.items() if k not in hidden}, body)


def merged(headers: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return both; the others replace headers of the same name, in whatever case."""
    replaced = {name.lower() for name in others}
    return {**{k: v for k, v in headers.items() if k.lower() not in replaced}, **others}


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the service's id of the request."""
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


def _result(reply: Reply, result: Callable[[Any], T]) -> T:
    try:
        return result(_data(reply))
    except UnexpectedResponse as error:
        error.status, error.request_id = reply.status, request_id(reply.headers)
        error.response = _kept(reply.status, reply.headers, reply.body)
        raise


def _data(reply: Reply) -> Any:
    told = _parse(reply.body)
    if isinstance(told, dict) and told.get("success") is True and "data" in told:
        return told["data"]
    kind = reply.headers.get("content-type", "no content type").partition(";")[0]
    raise UnexpectedResponse(f"the answer is not one of this API ({kind}). Is the base URL right?")


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a request's body as JSON."""
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as problem:
        reason = str(problem)
    raise _errors.InputError(f"cannot be sent as JSON: {reason}")


def _seconds(details: Mapping[str, Any], key: str) -> int | None:
    value = details.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
