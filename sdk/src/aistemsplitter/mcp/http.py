"""Streamable HTTP: many callers, each with an API key of its own.

This process has no key. Requests are independent of each other, so no session of one caller can be
used by another.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any

import uvicorn
from mcp.server.mcpserver import Context
from mcp.server.transport_security import TransportSecuritySettings

from aistemsplitter._async_client import AsyncAiStemSplitter
from aistemsplitter._errors import ConfigurationError
from aistemsplitter.mcp.folders import Folders
from aistemsplitter.mcp.server import service_server

NO_KEY = "none"  # never sent: each call has its caller's key
LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
CONNECTIONS = 1000
STOPS_WITHIN = 5  # seconds; calls that wait for a split would otherwise delay the end


def listen(address: str) -> socket.socket:
    """Return a listening socket.

    Args:
        address: ``HOST:PORT``, or a port of the loopback address.

    Raises:
        ConfigurationError: It is not an address, or cannot be listened on.
    """
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    if not (port.isascii() and port.isdecimal() and int(port) < 65_536):
        raise ConfigurationError(f"--http {address}: not HOST:PORT, such as 127.0.0.1:8765")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=128)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise ConfigurationError(f"--http {address}: cannot be listened on: {reason}") from problem


async def serve_http(
    listener: socket.socket, hosts: Sequence[str], base_url: str | None, folders: Folders
) -> None:
    """Serve callers on a listening socket until the process is interrupted.

    Args:
        listener: The socket.
        hosts: Names by which callers reach this server, besides the address and loopback.
        base_url: Base URL of the service; read from the environment if None.
        folders: Folders in which files may be read and written, by all callers.
    """
    async with AsyncAiStemSplitter(NO_KEY, base_url=base_url) as client:
        server = service_server(_of_caller(client), folders)
        app = server.streamable_http_app(
            stateless_http=True,
            transport_security=_only_for(hosts, str(listener.getsockname()[0])),
        )
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=STOPS_WITHIN,
        )
        await uvicorn.Server(config).serve(sockets=[listener])


def _of_caller(client: AsyncAiStemSplitter) -> Callable[[Context[Any, Any]], AsyncAiStemSplitter]:
    """Return a function that returns a client with the key in a call's header."""

    def client_of(context: Context[Any, Any]) -> AsyncAiStemSplitter:
        scheme, _, key = (context.headers or {}).get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise ConfigurationError(
                "the request has no API key: it needs the header 'Authorization: Bearer ast_...'"
            )
        return client.with_options(api_key=key)

    return client_of


def _only_for(hosts: Sequence[str], address: str) -> TransportSecuritySettings:
    """Return settings that reject requests by a name that a web page may have rebound."""
    own = f"[{address}]" if ":" in address else address
    named = {*LOOPBACK, *hosts, *([] if own in ("0.0.0.0", "[::]") else [own])}
    return TransportSecuritySettings(
        enable_dns_rebinding_protection=True,
        allowed_hosts=[*named, *(f"{name}:*" for name in named)],
        allowed_origins=[f"http://{name}:*" for name in LOOPBACK],
    )
