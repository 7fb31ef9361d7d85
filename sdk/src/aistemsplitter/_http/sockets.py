"""Reads of an event loop in pieces as large as one asks for, where the line is not encrypted.

asyncio's transports read 256 KiB at most, and each read takes two system calls besides and two
turns of the loop, which halves the speed of a download from a fast storage. So each connection is
read by a second descriptor of its socket; all else goes by the transport, which never reads: anyio
pauses it once it is connected, and in HTTP the server does not speak first.
"""

from __future__ import annotations

import socket
import sys
from typing import Any

import anyio
import anyio.lowlevel
import httpcore2
import httpx2


def read_large_pieces(client: httpx2.AsyncClient) -> None:
    """Have a client's own connections read so, other than those by a proxy.

    The library has no public way to it. Where a later one is built otherwise, nothing is changed,
    which a test would show.
    """
    pool = getattr(getattr(client, "_transport", None), "_pool", None)
    backend = getattr(pool, "_network_backend", None)
    if isinstance(backend, httpcore2.AsyncNetworkBackend) and sys.platform != "win32":
        pool._network_backend = _Backend(backend)  # type: ignore[union-attr]


class _Backend(httpcore2.AsyncNetworkBackend):
    def __init__(self, backend: httpcore2.AsyncNetworkBackend) -> None:
        self._backend = backend

    async def connect_tcp(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        return Line(await self._backend.connect_tcp(*args, **kwargs))

    async def connect_unix_socket(self, *args: Any, **kwargs: Any) -> Any:
        return await self._backend.connect_unix_socket(*args, **kwargs)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class Line(httpcore2.AsyncNetworkStream):
    """A connection that is read by a descriptor of its own."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        raw = stream.get_extra_info("socket")
        self._socket = socket.fromfd(raw.fileno(), raw.family, raw.type)
        self._socket.setblocking(False)

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what has come, up to so many bytes; empty at the end."""
        try:
            with anyio.fail_after(timeout):
                await anyio.lowlevel.checkpoint()  # others have their turn, however fast it comes
                while True:
                    try:
                        return self._socket.recv(max_bytes)
                    except BlockingIOError:
                        await anyio.wait_readable(self._socket)
        except TimeoutError as error:
            problem: Exception = httpcore2.ReadTimeout(error)
        except OSError as error:
            problem = httpcore2.ReadError(error)
        raise problem

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of it."""
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close both descriptors."""
        self._socket.close()
        await self._stream.aclose()

    async def start_tls(self, *args: Any, **kwargs: Any) -> httpcore2.AsyncNetworkStream:
        """Encrypt; what is read from then on comes by the stream, which decrypts it."""
        self._socket.close()
        return await self._stream.start_tls(*args, **kwargs)

    def get_extra_info(self, info: str) -> Any:
        """Tell what the stream knows."""
        return self._stream.get_extra_info(info)
