"""One API call without I/O: the request, its deadline and retries, and decoding the response.

Connection errors, 408, 429, 5xx and 409 IDEMPOTENCY_IN_PROGRESS are retried with exponential
backoff and full jitter, after the server's ``Retry-After`` (at most 60 s). If the pause would end
after the call's deadline, the last error is raised instead.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlencode

from aistemsplitter._decode import decode
from aistemsplitter._effects import Failure, Operation, Reply, Request, Sleep, Timeouts, send
from aistemsplitter._errors import (
    AiStemSplitterError,
    APIError,
    ConnectionFailed,
    DeadlineExceeded,
    IdempotencyInProgress,
    InputError,
    ServerError,
    TLSFailed,
    UnexpectedResponse,
)
from aistemsplitter._failures import (
    error_from_failure,
    error_from_reply,
    parse_json,
    request_id,
    without_secrets,
)
from aistemsplitter._idempotency import IdempotencyKeys
from aistemsplitter._logs import logger
from aistemsplitter._models import Split
from aistemsplitter._secret import Secret

T = TypeVar("T")

FIRST_PAUSE = 0.5  # upper bound of the first pause, in seconds
LONGEST_PAUSE = 8.0
LONGEST_RETRY_AFTER = 60.0  # a server that asks for a day must not block a program for a day
LOG_FORMAT = "%s %s: %s in %.2f s (%s)"  # method, path, status, seconds, request id
CALL_TOTAL = 60.0  # time limit of an API call in seconds, unless the client sets a total


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Settings shared by all calls of a client, or by the steps of one call.

    Attributes:
        base_url: Base URL including the version's path, without a trailing slash.
        key: API key, sent to the API only.
        headers: Headers added to every API call; they replace built-in headers of the same name.
        timeouts: Time limits of each call.
        max_retries: Number of retries after the first attempt.
        idempotency_keys: Keys for submissions that come without one; None for random keys.
        on_reply: Callback that receives every reply of the API.
        deadline: Time on ``clock`` at which every call of this session ends; None for no limit.
        clock: Monotonic clock, in seconds.
        jitter: Random numbers from 0 to 1 for the retry pauses.
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
        """Return the seconds to wait before the next attempt."""
        bound: float = min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** min(retries, 10))
        return min(retry_after or 0.0, LONGEST_RETRY_AFTER) + self.jitter() * bound

    def request_headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return a request's headers plus the session's, which win over the same names."""
        return merged(headers, self.headers)

    def with_headers(self, headers: Mapping[str, str]) -> Session:
        """Return the same session with additional headers."""
        return replace(self, headers=merged(self.headers, headers))

    def within(self, seconds: float | None) -> Session:
        """Return the same session with a deadline this many seconds from now.

        An earlier deadline is kept; None adds no limit.
        """
        if seconds is None:
            return self
        deadline = self.clock() + seconds
        return replace(self, deadline=min(deadline, self.deadline or deadline))

    def out_of_time(self, pause: float = 0.0) -> bool:
        """Return True if the deadline has passed, or will have passed after a pause."""
        return self.deadline is not None and self.clock() + pause >= self.deadline


def _request(
    session: Session,
    method: str,
    path: str,
    body: Mapping[str, Any] | None,
    query: Mapping[str, Any] | None,
    headers: Mapping[str, str] | None,
) -> Request:
    return Request(
        method=method,
        url=session.base_url + path + ("?" + urlencode(query) if query else ""),
        headers=session.request_headers(
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
    """Make an API call with retries and return the ``data`` of its response.

    Args:
        settled: Error that, on a retry, means that an earlier attempt succeeded and only its
            response was lost. None is returned in that case.
        result: Function that converts ``data`` to the result.

    Raises:
        AiStemSplitterError: The call failed; the class names the cause.
    """
    session = session.within(session.timeouts.total or CALL_TOTAL)
    request = _request(session, method, path, body, query, headers)
    retries = 0
    while True:
        error: AiStemSplitterError
        started = session.clock()
        try:
            reply = yield from send(request)
        except Failure as failure:
            error = error_from_failure(failure, request)
        else:
            if session.on_reply:
                session.on_reply(reply)
            took = session.clock() - started
            logger.info(LOG_FORMAT, method, path, reply.status, took, request_id(reply.headers))
            if reply.status < 300:
                return _result(reply, result)
            error = error_from_reply(reply, request)
        if retries and isinstance(error, settled):
            return None
        pause = session.pause(retries, error.retry_after)
        # While an earlier attempt is being processed, only the deadline limits the retries.
        in_progress = isinstance(error, IdempotencyInProgress) and session.max_retries > 0
        exhausted = retries >= session.max_retries and not in_progress
        if exhausted or session.out_of_time(pause) or not worth_a_retry(error):
            raise error
        logger.info("%s %s: %s, retrying in %.1f s", method, path, error.code, pause)
        yield Sleep(pause)
        retries += 1


def fetch(session: Session, model: type[T], method: str, path: str, **content: Any) -> Operation[T]:
    """Make an API call and return its response as a model."""
    found: T = yield from call(session, method, path, result=partial(decode, model), **content)
    return found


def check_id(split: Split, split_id: str) -> Split:
    """Return the split if it is the requested one.

    Raises:
        UnexpectedResponse: It is another split: two processes may have shared a connection.
    """
    if split.id != split_id:
        raise UnexpectedResponse(
            f"the service was asked for {split_id} but sent {split.id}; two processes may be"
            " sharing one connection. Create the client, or its http_client, in each process"
        )
    return split


def worth_a_retry(error: AiStemSplitterError) -> bool:
    """Return True if the same request may succeed when sent again."""
    if isinstance(error, ConnectionFailed):
        return not isinstance(error, TLSFailed)
    if isinstance(error, DeadlineExceeded):
        return True  # one phase timed out; the caller checks the deadline of the whole call
    if isinstance(error, (IdempotencyInProgress, ServerError)):
        return error.status != 501
    return error.status in (408, 429)


def merged(headers: Mapping[str, str], others: Mapping[str, str]) -> dict[str, str]:
    """Return both sets of headers; ``others`` wins over the same names, ignoring case."""
    replaced = {name.lower() for name in others}
    return {**{k: v for k, v in headers.items() if k.lower() not in replaced}, **others}


def _result(reply: Reply, result: Callable[[Any], T]) -> T:
    try:
        return result(data_of(reply))
    except UnexpectedResponse as error:
        error.status, error.request_id = reply.status, request_id(reply.headers)
        error.response = without_secrets(reply)
        raise


def data_of(reply: Reply) -> Any:
    """Return the ``data`` of a response.

    Raises:
        UnexpectedResponse: The response is not from this API.
    """
    envelope = parse_json(reply.body)
    if isinstance(envelope, dict) and envelope.get("success") is True and "data" in envelope:
        return envelope["data"]
    kind = reply.headers.get("content-type", "no content type").partition(";")[0]
    raise UnexpectedResponse(f"the response is not from this API ({kind}). Check the base URL")


def encode(body: Mapping[str, Any]) -> bytes:
    """Return a request's body as JSON.

    Raises:
        InputError: A value has no JSON form.
    """
    try:
        return json.dumps(body, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError) as problem:
        reason = str(problem)
    raise InputError(f"the arguments cannot be sent as JSON: {reason}")
