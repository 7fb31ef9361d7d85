"""Bodies on their way in: none too large, and JSON that means one thing only."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aistemsplitter_server.kit import strict_json
from aistemsplitter_server.kit.errors import NotFound, PayloadTooLarge, ValidationFailed

# The audio goes in and out here. Its endpoints take bodies piece by piece, and each
# has a limit of its own; no other body is larger than the limit of JSON.
STREAMED = ("/storage/", "/uploads/")
API = "/v1/"
JSON = "application/json"


class Bodies:
    """ASGI middleware: reads bodies whole, up to the limit, and refuses what is not right.

    Args:
        pages: these are the pages, which take forms, too.
    """

    def __init__(self, app: ASGIApp, limit: int, *, pages: bool = False) -> None:
        self.app = app
        self.limit = limit
        self.pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on."""
        if scope["type"] == "http":
            _no_nul(scope)
            if not scope["path"].startswith(STREAMED):
                receive = await self._checked(scope, receive)
        await self.app(scope, receive, send)

    async def _checked(self, scope: Scope, receive: Receive) -> Receive:
        headers = Headers(scope=scope)
        message = await _whole(headers, receive, self.limit)
        if message["body"] and (self.pages or scope["path"].startswith(API)):
            kind = headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == JSON:
                strict_json.check(message["body"])
            elif not self.pages:
                raise ValidationFailed([("Content-Type", f"must be {JSON}")])
        pieces = [message]

        async def replay() -> Message:
            return pieces.pop() if pieces else await receive()

        return replay


async def _whole(headers: Headers, receive: Receive, limit: int) -> Message:
    """The body in one piece, whatever its length claims to be."""
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
    return {"type": "http.request", "body": bytes(body), "more_body": more}


def _no_nul(scope: Scope) -> None:
    """Postgres takes no NUL in a text, so nothing is called so."""
    if "\0" in scope["path"]:
        raise NotFound
    if b"%00" in scope["query_string"]:
        raise ValidationFailed([("query", "must not contain a NUL")])
