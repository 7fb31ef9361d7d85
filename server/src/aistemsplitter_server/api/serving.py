"""The server below the application: uvicorn, set up so that it answers in the contract's words."""

from __future__ import annotations

import json
from socket import socket

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.errors import BadRequest
from aistemsplitter_server.kit.settings import Settings

HEAD_LIMIT = 1 << 16  # bytes of request line and headers
DRAIN_SECONDS = 10  # that running requests have when the process is to end


class Protocol(HttpToolsProtocol):
    """uvicorn's, which by itself has no limit for heads and refuses nonsense in plain text."""

    _head = 0  # bytes that have come of a head without its end
    _in_body = False
    _turned = False  # a head or a body ended in what came last

    def data_received(self, data: bytes) -> None:
        """Take what comes, unless it is a head without an end."""
        self._turned = False
        super().data_received(data)
        if self._turned or self._in_body:
            self._head = 0
            return
        self._head += len(data)
        if self._head > HEAD_LIMIT and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """A body follows, be it an empty one."""
        self._in_body = self._turned = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The next head follows."""
        self._in_body, self._turned = False, True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what is not HTTP, and hang up."""
        body = json.dumps(BadRequest().envelope(), separators=(",", ":")).encode()
        head = (
            "HTTP/1.1 400 Bad Request",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"request-id: {ids.new('req')}",
            "connection: close",
        )
        self.transport.write("\r\n".join((*head, "", "")).encode() + body)
        self.transport.close()


def server(app: ASGIApp, settings: Settings) -> uvicorn.Server:
    """What serves the application where the settings say."""
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,  # ours is in kit/logs.py
        access_log=False,  # and one line a request in frame.py
        server_header=False,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    return uvicorn.Server(config)


def serve(app: ASGIApp, settings: Settings, sockets: list[socket] | None = None) -> None:
    """Serve until a signal says to end."""
    server(app, settings).run(sockets=sockets)
