"""A proxy on loopback with seeded random faults, in front of the real service."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
import threading
from collections import Counter
from email.utils import formatdate
from typing import Any

STALL = 8.0  # seconds; longer than the client's timeouts
DRIP = 0.1  # seconds between two bytes of a slow response's head
API = (
    "refuse",
    "lose",
    "reset",
    "stall",
    "unavailable",
    "truncate",
    "redirect",
    "drip",
    "unavailable_for_a_day",
)
STORAGE_GET = (*API, "corrupt", "ignore_range", "expire")
STORAGE_PUT = ("refuse", "lose", "stall", "unavailable", "expire", "redirect")
STREAM = (*API, "buffer")
# Some end a call, others slow the test down.
RARE = {"redirect": 0.15, "stall": 0.3, "drip": 0.3, "unavailable_for_a_day": 0.15, "buffer": 4.0}


class Proxy:
    """A proxy to a service on loopback that disturbs a share of the requests.

    Attributes:
        share: Share of the requests that are disturbed; 0 at first.
        thief: Heads of the requests that reached the other host, to which it redirects.
        faults: Number of faults by kind.
    """

    def __init__(self, seed: int) -> None:
        self.upstream_port = 0
        self.share = 0.0
        self.thief: list[str] = []
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self._random = random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._servers: list[asyncio.Server] = []
        self._handling: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Proxy:
        self._thread.start()
        self.port = self._serve(self._answer)
        self._thief_port = self._serve(self._steal)
        return self

    def __exit__(self, *_: object) -> None:
        async def end() -> None:
            for server in self._servers:
                server.close()
            for task in (handling := list(self._handling)):
                task.cancel()
            await asyncio.gather(*handling, return_exceptions=True)

        asyncio.run_coroutine_threadsafe(end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def url(self) -> str:
        """Base URL of the proxy."""
        return f"http://127.0.0.1:{self.port}"

    def _serve(self, handle: Any) -> int:
        async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._handling.add(task)  # the loop itself only holds weak references to tasks
            task.add_done_callback(self._handling.discard)
            try:
                await handle(reader, writer)
            except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                pass  # a side closed the connection, as tested, or the proxy is closing
            finally:
                writer.close()

        async def start() -> asyncio.Server:
            return await asyncio.start_server(guarded, "127.0.0.1", 0, backlog=512)

        server = asyncio.run_coroutine_threadsafe(start(), self._loop).result()
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    async def _steal(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.thief.append((await reader.readuntil(b"\r\n\r\n")).decode("latin-1"))
        writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    def _draw(self, path: str) -> str:
        self.requests += 1
        kinds = API
        if path.startswith("/storage/"):
            kinds = STORAGE_GET
        elif path.startswith("/uploads/"):
            kinds = STORAGE_PUT
        elif path.endswith("/events"):
            kinds = STREAM
        if self._random.random() >= self.share:
            return "none"
        (kind,) = self._random.choices(kinds, [RARE.get(kind, 1.0) for kind in kinds])
        self.faults[kind] += 1
        return kind

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Handle one request and close the connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        lines = head.split("\r\n")
        _, path, _ = lines[0].split(" ", 2)
        fault = self._draw(path)
        if fault == "refuse":
            return _reset(writer)
        if fault == "stall":
            await asyncio.sleep(STALL)
            return _reset(writer)
        length = next((int(v) for k, _, v in _pairs(lines) if k == "content-length"), 0)
        body = await reader.readexactly(length)
        if reply := self._replacement(fault):
            writer.write(reply)
            return await writer.drain()
        dropped = {"connection"} | ({"range"} if fault == "ignore_range" else set())
        kept = [line for line in lines[1:-2] if line.partition(":")[0].lower() not in dropped]
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream_port)
        try:
            asked = "\r\n".join([lines[0], *kept, "Connection: close", "", ""])
            up_writer.write(asked.encode("latin-1") + body)
            await up_writer.drain()
            await self._forward_response(fault, up_reader, writer)
        finally:
            up_writer.close()
        return None

    def _replacement(self, fault: str) -> bytes:
        status, header = {
            "unavailable": (
                self._random.choice(("429 No", "500 No", "503 No")),
                "Retry-After: " + self._random.choice(("0", formatdate(usegmt=True))),
            ),
            "unavailable_for_a_day": ("503 No", "Retry-After: 100000"),
            "expire": ("403 Forbidden", "X-Reason: expired"),
            "redirect": ("302 Found", f"Location: http://127.0.0.1:{self._thief_port}/mine"),
        }.get(fault, ("", ""))
        rest = "Content-Length: 0\r\nConnection: close\r\n\r\n"
        return f"HTTP/1.1 {status}\r\n{header}\r\n{rest}".encode() if status else b""

    async def _forward_response(
        self, fault: str, upstream: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = await upstream.readuntil(b"\r\n\r\n")
        if fault == "lose":  # the service has processed the request
            return _reset(writer)
        if fault == "buffer":  # like a proxy that buffers a stream until it ends
            head += await upstream.read(-1)
        if fault == "drip":
            for byte in head[:60]:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(DRIP)
            head = head[60:]
        writer.write(head)
        left = self._random.randrange(0, 4000) if fault in ("reset", "truncate", "corrupt") else -1
        while piece := await upstream.read(65536):
            if 0 <= left < len(piece) and fault == "corrupt":
                piece = piece[:left] + bytes([piece[left] ^ 0x40]) + piece[left + 1 :]
            elif 0 <= left < len(piece):
                writer.write(piece[:left])
                await writer.drain()
                return _reset(writer) if fault == "reset" else None
            left = left - len(piece) if left >= len(piece) else -1
            writer.write(piece)
            await writer.drain()
        return None


def _pairs(lines: list[str]) -> list[tuple[str, str, str]]:
    return [
        (name.lower(), colon, value.strip())
        for name, colon, value in (line.partition(":") for line in lines[1:])
    ]


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
