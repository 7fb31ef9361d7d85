"""The HTTP server: uvicorn with limits, and with error responses in the contract's shape."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.middleware.proxy_headers import _TrustedHosts
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aistemsplitter_server.http import connections
from aistemsplitter_server.http.connections import Connections
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.errors import ApiError, BadRequest, RequestTimeout, Unavailable
from aistemsplitter_server.kit.settings import Settings

HEAD_LIMIT = 1 << 16  # bytes of request line and headers
HEAD_SECONDS = 10.0  # in which all headers have to arrive
KEEP_ALIVE = 5  # seconds that a connection may be idle between two requests
STALLED = 300  # seconds in which a client must acknowledge some of what is sent to it
DRAIN_SECONDS = 10  # that running requests have when the process stops
# that a connection without a request stays open then, since one may be on its way: longer than a
# round trip to a distant client, and short enough for a restart
LAST_REQUEST_SECONDS = 0.5


class Protocol(HttpToolsProtocol):
    """uvicorn's protocol with what it lacks.

    That is a limit on the size of headers, a timeout for them, a fair limit on connections, and
    errors in the contract's shape. Bodies have their timeouts where they are read.
    """

    _head = 0  # bytes of incomplete headers that have arrived
    _in_body = False
    _turned = False  # headers or a body ended in the data that came last
    _is_refused = False
    _timer: asyncio.TimerHandle | None = None  # until a request has begun

    def __init__(self, *args: Any, open_connections: Connections, **more: Any) -> None:
        super().__init__(*args, **more)
        self._open = open_connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Admit the connection, and wait for headers."""
        super().connection_made(transport)
        _close_when_stalled(transport)
        self._is_refused = not self._open.admit(self, self.client and self.client[0])
        if self._is_refused and not self._open.can_answer:
            transport.abort()
        else:
            self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up the connection's place."""
        self._open.leave(self)
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Receive data, unless it is headers without an end."""
        self._turned = False
        super().data_received(data)
        if self._is_serving():
            self._stop_timer()
        elif self._timer is None and not self.transport.is_closing():
            self._await_head()  # counted from their first byte, however slowly the others come
        if self._turned or self._in_body:
            self._head = 0
            return
        self._head += len(data)
        if self._head > HEAD_LIMIT and not self.transport.is_closing():
            self.send_400_response("")

    def on_headers_complete(self) -> None:
        """Begin a request. A body follows, possibly an empty one."""
        self._in_body = self._turned = True
        if self._is_refused:
            self._refuse(Unavailable("All connections are in use. Try again in a moment."))
            return
        self._open.busy(self)
        super().on_headers_complete()
        if self._open.are_ending and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        """Receive a part of the body."""
        if not self._is_refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request; headers follow."""
        self._in_body, self._turned = False, True
        if not self._is_refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is there already."""
        super().on_response_complete()
        if not self._is_serving():
            self._open.idle(self)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse what is not HTTP, and close the connection."""
        self._refuse(BadRequest())

    def shutdown(self) -> None:
        """End the connection after the request that is in progress or may be on its way."""
        if self._is_serving():
            super().shutdown()
        elif not self._head:
            self._stop_timer()
            self._await_head()

    def evict(self) -> None:
        """Close the connection at once, for another one."""
        self.transport.abort()

    def _is_serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _await_head(self) -> None:
        seconds = LAST_REQUEST_SECONDS if self._open.are_ending else HEAD_SECONDS
        self._timer = self.loop.call_later(seconds, self._no_head)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _no_head(self) -> None:
        self._timer = None
        if self._is_serving() or self.transport.is_closing():
            return
        if self._head:
            self._refuse(RequestTimeout("The head of the request did not arrive in time."))
        else:
            self.transport.close()

    def _refuse(self, error: ApiError) -> None:
        """Respond without the application, and close the connection."""
        body = json.dumps(error.envelope(), separators=(",", ":")).encode()
        head = (
            f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}",
            "content-type: application/json",
            f"content-length: {len(body)}",
            f"request-id: {ids.new('req')}",
            *(f"{name.lower()}: {value}" for name, value in error.headers.items()),
            "connection: close",
        )
        self.transport.write("\r\n".join((*head, "", "")).encode() + body)
        self.transport.close()


def _close_when_stalled(transport: asyncio.Transport) -> None:
    """Have the system close a connection whose client acknowledges nothing.

    Only the system sees acknowledgements: slow downloads and quiet event streams stay open.
    """
    option = getattr(socket, "TCP_USER_TIMEOUT", None)  # Linux
    connection = transport.get_extra_info("socket")
    if option is not None and connection is not None:
        with suppress(OSError):  # not TCP
            connection.setsockopt(socket.IPPROTO_TCP, option, STALLED * 1000)


@dataclass(frozen=True)
class SecureListener:
    """A listening socket for https."""

    socket: socket.socket
    context: ssl.SSLContext


class Server(uvicorn.Server):
    """uvicorn's server, which also listens for https, and drops no request when it stops.

    Args:
        open_connections: Those that its protocol admits.
        end_streams: Called when the process is to stop. Streams would otherwise take as long as
            running requests may.
        secure: Served besides the sockets that ``run`` receives.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        open_connections: Connections,
        end_streams: Callable[[], None],
        secure: SecureListener | None = None,
    ) -> None:
        super().__init__(config)
        self._open = open_connections
        self._end_streams = end_streams
        self._secure = secure

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, also for https: uvicorn does either for all of its sockets."""
        await super().startup(sockets)
        if self._secure is not None:
            server = await asyncio.get_running_loop().create_server(
                self._protocol,
                sock=self._secure.socket,
                ssl=self._secure.context,
                backlog=self.config.backlog,
                ssl_handshake_timeout=HEAD_SECONDS,
            )
            self.servers.append(server)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams, and wait for running requests."""
        self._open.are_ending = True
        self._end_streams()
        await super().shutdown(sockets)
        if self._secure is not None:
            self._secure.socket.close()

    def _protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = cast(Any, self.config.http_protocol_class)(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol


def server(
    app: ASGIApp,
    settings: Settings,
    end_streams: Callable[[], None] = lambda: None,
    secure: SecureListener | None = None,
) -> uvicorn.Server:
    """Return a server of the application, configured by the settings.

    Args:
        end_streams: See ``Server``.
        secure: See ``Server``.
    """
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        ws="none",
        lifespan="off",
        log_config=None,  # ours is in kit/logs.py
        access_log=False,  # frame.py logs one line per request
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    # The proxies that uvicorn trusts to report a client's address.
    proxies = cast(Any, _TrustedHosts)(config.forwarded_allow_ips)
    open_connections = Connections(connections.limit(), proxies)
    protocol: Callable[..., Protocol] = partial(Protocol, open_connections=open_connections)
    config.http = cast(Any, protocol)
    return Server(config, open_connections, end_streams, secure)


def serve(
    app: ASGIApp,
    settings: Settings,
    end_streams: Callable[[], None],
    listener: socket.socket | None = None,
    secure: SecureListener | None = None,
) -> None:
    """Serve until a signal stops the process.

    Args:
        end_streams: See ``Server``.
        listener: The listening socket; None to open one at the settings' host and port.
        secure: See ``Server``.
    """
    connections.raise_limit()
    server(app, settings, end_streams, secure).run(sockets=None if listener is None else [listener])
