"""Connections of the synchronous client that observe a call's deadline and can be interrupted.

The HTTP library limits only the time of each read and write. A server that sends one byte at a time
never exceeds such a limit, and a thread that waits in a read cannot be stopped. So reads wait in
short slices, and every operation is limited by the time left for the whole call. The asynchronous
client needs none of this, because its event loop can cancel any operation.
"""

from __future__ import annotations

import math
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from typing import Any

import httpcore2

from aistemsplitter._http.stopping import Stopped

SLICE = 0.1  # seconds; the longest wait in which a download's thread does not notice a stop
IDLE_SLICE = 1.0  # seconds, for other threads; on Windows, Ctrl-C does not interrupt a read
PIECE = 64 * 1024  # bytes per write; each write has the full time limit


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit of the current thread's I/O: a deadline and an event that stops it.

    Attributes:
        deadline: Time on ``time.monotonic`` at which the I/O ends.
        stop: Event that is set when the result is no longer needed.
    """

    deadline: float = math.inf
    stop: threading.Event | None = None

    def end(self, timeout: float | None) -> float:
        """Return the time at which an operation with this timeout ends."""
        return min(self.deadline, math.inf if timeout is None else time.monotonic() + timeout)

    def slice(self, end: float) -> float:
        """Return the seconds to wait before the next check; 0 or less after the end.

        Raises:
            Stopped: The result is no longer needed.
        """
        if self.stop and self.stop.is_set():
            raise Stopped
        return min(SLICE if self.stop else IDLE_SLICE, end - time.monotonic())


NO_LIMIT = Limit()
_limit: ContextVar[Limit] = ContextVar("limit", default=NO_LIMIT)


@contextmanager
def limited(deadline: float | None, stop: threading.Event | None) -> Iterator[None]:
    """Limit the I/O of the current thread inside the block."""
    token = _limit.set(Limit(math.inf if deadline is None else deadline, stop))
    try:
        yield
    finally:
        _limit.reset(token)


class Backend(httpcore2.NetworkBackend):
    """Network backend whose connections observe the current limit."""

    def __init__(self) -> None:
        self._inner = httpcore2.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,
    ) -> httpcore2.NetworkStream:
        """Resolve the host and connect; each of its addresses may take ``timeout`` seconds."""
        connect = partial(
            self._inner.connect_tcp, host, port, timeout, local_address, socket_options
        )
        return LimitedStream(_Opening(connect).wait())


class LimitedStream(httpcore2.NetworkStream):
    """Connection that observes the current limit."""

    def __init__(self, inner: httpcore2.NetworkStream) -> None:
        self._inner = inner

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Return the next bytes, up to ``max_bytes``; empty at the end of the stream."""
        limit = _limit.get()
        end = limit.end(timeout)
        while (seconds := limit.slice(end)) > 0:
            try:
                return self._inner.read(max_bytes, seconds)
            except httpcore2.ReadTimeout:
                continue
        raise httpcore2.ReadTimeout

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all bytes; each piece of 64 KiB may take ``timeout`` seconds."""
        limit = _limit.get()
        view = memoryview(buffer)
        for start in range(0, len(view), PIECE):
            end = limit.end(timeout)
            if limit.slice(end) <= 0:
                raise httpcore2.WriteTimeout
            seconds = None if end == math.inf else end - time.monotonic()
            self._inner.write(view[start : start + PIECE], seconds)  # type: ignore[arg-type]

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore2.NetworkStream:
        """Return the connection encrypted with TLS."""
        handshake = partial(self._inner.start_tls, ssl_context, server_hostname, timeout)
        return LimitedStream(_Opening(handshake).wait())

    def get_extra_info(self, info: str) -> Any:
        """Return information about the connection, such as its ``socket``."""
        return self._inner.get_extra_info(info)


class _Opening:
    """Opening of a connection in a separate thread, so that the caller can stop waiting for it.

    Neither name resolution nor a TLS handshake can be interrupted.
    """

    def __init__(self, open_stream: Callable[[], httpcore2.NetworkStream]) -> None:
        self._open_stream = open_stream
        self._finished = threading.Event()
        self._lock = threading.Lock()
        self._abandoned = False
        self._stream: httpcore2.NetworkStream | None = None
        self._error: Exception | None = None

    def wait(self) -> httpcore2.NetworkStream:
        """Return the open connection.

        Raises:
            httpcore2.ConnectTimeout: The call's deadline has passed.
            Stopped: The connection is no longer needed.
        """
        limit = _limit.get()
        threading.Thread(target=self._run, name="aistemsplitter connecting", daemon=True).start()
        try:
            while not self._finished.is_set():
                if (seconds := limit.slice(limit.deadline)) <= 0:
                    raise httpcore2.ConnectTimeout
                self._finished.wait(seconds)
        except BaseException:
            self._abandon()
            raise
        if self._error:
            raise self._error
        assert self._stream
        return self._stream

    def _run(self) -> None:
        try:
            stream = self._open_stream()
        except Exception as error:
            self._error = error
        else:
            with self._lock:
                self._stream = stream
                if self._abandoned:
                    stream.close()
        self._finished.set()

    def _abandon(self) -> None:
        with self._lock:
            self._abandoned = True
            if self._stream:
                self._stream.close()
