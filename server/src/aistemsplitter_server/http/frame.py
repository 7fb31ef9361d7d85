"""The outermost middleware: request ids, one log line per request, metrics, and HEAD."""

from __future__ import annotations

import asyncio
import logging
import re
from time import perf_counter

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aistemsplitter_server.http.metrics import Requests
from aistemsplitter_server.kit import ids, logs

logger = logging.getLogger(__name__)

SPLIT_ID = re.compile(r"split_[0-9A-Z]{26}", re.ASCII)
UPLOAD_ID = re.compile(r"upl_[0-9A-Z]{26}", re.ASCII)
PROBES = ("/healthz", "/readyz", "/metrics")  # whose successes are logged as debug


class Frame:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, requests: Requests) -> None:
        self.app = app
        self.requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        began = perf_counter()
        _drop_escaped_cookies(scope)
        request_id = ids.new("req")
        method = scope["method"]
        state = scope.setdefault("state", {})
        state["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        fields = logs.collecting()
        status: int | None = None
        answered = began

        async def named(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], perf_counter()
                headers = MutableHeaders(scope=message)
                headers["Request-Id"] = request_id
                if (allowance := state.get("allowance")) is not None:
                    headers.update(allowance.headers())
            await send(message)

        answer: Send = named
        if method == "HEAD" and not scope["path"].startswith("/storage/"):
            scope, receive, answer = _as_get(scope, named)
        try:
            await self.app(scope, receive, answer)
        finally:
            route = getattr(scope.get("route"), "path", None)
            self.requests.note(method, route, status, answered - began)
            caller = state.get("caller")
            is_quiet = route in PROBES and status is not None and status < 400
            logger.log(
                logging.DEBUG if is_quiet else logging.INFO,
                "request",
                extra={
                    "method": method,
                    "route": route,  # unknown paths may contain anything, so they are not logged
                    "status": status,  # None: the client disconnected before there was a response
                    "seconds": round(perf_counter() - began, 4),
                    "account_id": caller and caller.account_id,
                    "key_id": caller and caller.key_id,
                    **_ids(scope),
                    **fields,
                },
            )


def _as_get(scope: Scope, send: Send) -> tuple[Scope, Receive, Send]:
    """Turn a HEAD request into a GET whose body is dropped.

    After the headers the client seems to have disconnected, so that endless streams end too.
    """
    messages: list[Message] = [{"type": "http.request"}]
    answered = asyncio.Event()

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await answered.wait()
        return {"type": "http.disconnect"}

    async def head_only(message: Message) -> None:
        if message["type"] == "http.response.start":
            await send(message)
            await send({"type": "http.response.body"})
            answered.set()

    return {**scope, "method": "GET"}, receive, head_only


def _drop_escaped_cookies(scope: Scope) -> None:
    """Remove cookies with a backslash, which none of ours has.

    FastAPI parses the cookies of every request, and before Python 3.11.10 the time grows with the
    square of the number of backslashes: up to seconds.
    """
    scope["headers"] = [
        (name, value if b"\\" not in value or name != b"cookie" else _without_escapes(value))
        for name, value in scope["headers"]
    ]


def _without_escapes(cookies: bytes) -> bytes:
    return b";".join(cookie for cookie in cookies.split(b";") if b"\\" not in cookie)


def _ids(scope: Scope) -> dict[str, str | None]:
    """Return the ids of split and upload in the path, but nothing else that a client made up."""
    given = scope.get("path_params", {})
    kind, _, rest = given.get("key", "").partition("/")  # of an object in the storage
    first = rest.partition("/")[0]
    split_id = given.get("split_id") or (first if kind in ("splits", "fetched") else "")
    upload_id = given.get("upload_id") or (first if kind == "uploads" else "")
    ids = {"split_id": split_id if SPLIT_ID.fullmatch(split_id) else None}
    return {**ids, "upload_id": upload_id} if UPLOAD_ID.fullmatch(upload_id) else ids
