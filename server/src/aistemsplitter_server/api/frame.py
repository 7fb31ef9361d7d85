"""Around every request: its id, the limit of its body, and an answer even to our own faults."""

from __future__ import annotations

import json
import logging

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.errors import ApiError, Internal, PayloadTooLarge

logger = logging.getLogger(__name__)

# The audio goes in and out here. Its endpoints take bodies piece by piece, and each
# has a limit of its own; no other body is larger than the limit of JSON.
STREAMED = ("/storage/", "/uploads/")


class Frame:
    """ASGI middleware, outside everything that is ours."""

    def __init__(self, app: ASGIApp, json_body_limit: int) -> None:
        self.app = app
        self.limit = json_body_limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = ids.new("req")
        scope.setdefault("state", {})["request_id"] = request_id
        started = False

        async def send_named(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message)["Request-Id"] = request_id
            await send(message)

        try:
            if not scope["path"].startswith(STREAMED):
                receive = await _whole_body(Headers(scope=scope), receive, self.limit)
            await self.app(scope, receive, send_named)
        except ApiError as error:
            await _answer(error, send_named)
        except Exception:
            logger.exception("%s failed", request_id)
            if started:
                raise  # half an answer is out; only the connection's end can tell the caller
            await _answer(Internal(), send_named)


async def _whole_body(headers: Headers, receive: Receive, limit: int) -> Receive:
    """Read the body up to the limit, whatever its length claims to be; hand it on as one piece."""
    length = headers.get("content-length", "0")
    if length.isdecimal() and int(length) > limit:
        raise PayloadTooLarge(limit)
    body = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            break  # the caller has gone; who reads next is told so
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > limit:
            raise PayloadTooLarge(limit)
    pieces = [{"type": "http.request", "body": bytes(body), "more_body": more}]

    async def replay() -> Message:
        return pieces.pop() if pieces else await receive()

    return replay


async def _answer(error: ApiError, send: Send) -> None:
    body = json.dumps(error.envelope(), ensure_ascii=False, separators=(",", ":")).encode()
    headers = {
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        **error.headers,
    }
    if isinstance(error, PayloadTooLarge):
        headers["Connection"] = "close"  # the rest of the body is not read
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": encoded})
    await send({"type": "http.response.body", "body": body})
