"""Request bodies: read whole after authentication, within limits, and only strict JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aistemsplitter_server.kit import strict_json
from aistemsplitter_server.kit.errors import (
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    ValidationFailed,
)

API = "/v1/"
JSON = "application/json"
SECONDS = 30.0  # in which a whole body has to arrive
LARGE = 1 << 14  # bytes; larger bodies are parsed in a thread, not in the event loop

# Returns the limit of a request's body in bytes, or None if the body is not to be read here. Raises
# if the sender is refused. Called before the first byte is read.
Limit = Callable[[Request], Awaitable[int | None]]


class Bodies:
    """ASGI middleware that reads bodies whole, up to a limit, and refuses invalid ones.

    Args:
        limit: See ``Limit``.
        pages: Whether the application is that of the pages, which accept forms too.
    """

    def __init__(self, app: ASGIApp, limit: Limit, *, pages: bool = False) -> None:
        self.app = app
        self.limit = limit
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "http":
            _check_nul(scope)
            headers = Headers(scope=scope)
            if _has_body(headers):
                limit = await self.limit(Request(scope))
                if limit is not None:
                    receive = await self._checked(scope, headers, receive, limit)
        await self.app(scope, receive, send)

    async def _checked(
        self, scope: Scope, headers: Headers, receive: Receive, limit: int
    ) -> Receive:
        message = await _whole(headers, receive, limit)
        body = message["body"]
        if body and (self.pages or scope["path"].startswith(API)):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == JSON:
                if len(body) > LARGE:
                    await run_in_threadpool(strict_json.check, body)
                else:
                    strict_json.check(body)
            elif not self.pages:
                raise ValidationFailed([("Content-Type", f"must be {JSON}")])
        pieces = [message]

        async def replay() -> Message:
            return pieces.pop() if pieces else await receive()

        return replay


def _has_body(headers: Headers) -> bool:
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


async def _whole(headers: Headers, receive: Receive, limit: int) -> Message:
    """Read the body, whatever its ``Content-Length`` is.

    Raises:
        PayloadTooLarge: There are more bytes than the limit.
        RequestTimeout: The body does not arrive in time.
        ClientDisconnect: The client disconnected before the end.
    """
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise PayloadTooLarge(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(SECONDS):
            more = True
            while more:
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientDisconnect
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > limit:
                    raise PayloadTooLarge(limit)
    except TimeoutError:
        raise RequestTimeout from None
    return {"type": "http.request", "body": bytes(body), "more_body": False}


def _check_nul(scope: Scope) -> None:
    """Refuse NUL in the path and the query: Postgres cannot store it, so nothing contains it."""
    if "\0" in scope["path"]:
        raise NotFound
    if b"%00" in scope["query_string"]:
        raise ValidationFailed([("query", "must not contain a NUL")])
