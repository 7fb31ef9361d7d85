"""Connecting to user-supplied hosts: resolved once, checked, and limited by a deadline."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from httpcore2 import (
    SOCKET_OPTION,
    ConnectError,
    ConnectTimeout,
    NetworkBackend,
    NetworkError,
    NetworkStream,
    ReadTimeout,
    SyncBackend,
    TimeoutException,
    WriteTimeout,
)

from aistemsplitter_server.kit import addresses
from aistemsplitter_server.kit.addresses import Network

CONNECT = 10.0  # seconds for one address before the next is tried
IDLE = 30.0  # seconds without a byte
SLOWEST = 4 << 10  # bytes per second that a peer has to send, over each window
WINDOW = 30.0  # seconds of waiting for the peer
WRITE = 4096  # bytes at a time, so that a slow reader meets the deadline

Resolve = Callable[[str, int], Sequence[str]]


class Refused(Exception):
    """No address of the host is one that requests for users may connect to."""


class TooSlow(ReadTimeout):
    """The peer sends too slowly."""


class Pace:
    """Detects peers that send too little while they are waited for."""

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Begin a new window."""
        self._waited = 0.0
        self._received = 0

    def count(self, seconds: float, received: int) -> None:
        """Count bytes, and the time spent waiting for them.

        Raises:
            TooSlow: Too few bytes arrived in a window.
        """
        self._waited += seconds
        self._received += received
        if self._waited >= WINDOW:
            if self._received < SLOWEST * WINDOW:
                raise TooSlow
            self.restart()


def system(host: str, port: int) -> list[str]:
    """Return the numeric addresses of a host, in the order of the system's resolver.

    Raises:
        OSError: It has none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Dialer(NetworkBackend):
    """Makes connections for httpcore.

    Args:
        exceptions: The operator's networks, which are always allowed.
        resolve: Resolves host and port to numeric addresses.
        ends: The monotonic time at which all its connections end.
    """

    def __init__(self, exceptions: Sequence[Network], resolve: Resolve, ends: float) -> None:
        self._exceptions = exceptions
        self._resolve = resolve
        self._ends = ends
        self._sockets = SyncBackend()
        self.pace = Pace()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> NetworkStream:
        """Connect to the first allowed address that answers.

        Raises:
            Refused: The host has addresses, but none that is allowed.
            ConnectError, ConnectTimeout: No address can be reached.
        """
        found = self._addresses(host, port)
        good = [address for address in found if addresses.allowed(address, self._exceptions)]
        if not good:
            raise Refused
        failure: Exception | None = None
        for address in good:
            patience = min(CONNECT, _left(self._ends, ConnectTimeout))
            try:
                stream = self._sockets.connect_tcp(
                    address, port, patience, local_address, socket_options
                )
                return _Stream(stream, self._ends, self.pace)
            except (NetworkError, TimeoutException) as error:
                failure = error
        assert failure is not None
        raise failure

    def _addresses(self, host: str, port: int) -> Sequence[str]:
        """Resolve the host in a thread, since the resolver has no timeout."""
        answers: queue.Queue[Sequence[str] | Exception] = queue.Queue()

        def ask() -> None:
            try:
                answers.put(self._resolve(host, port))
            except Exception as error:
                answers.put(error)

        threading.Thread(target=ask, name="resolver", daemon=True).start()
        try:
            answer = answers.get(timeout=_left(self._ends, ConnectTimeout))
        except queue.Empty:
            raise ConnectTimeout from None
        if isinstance(answer, (OSError, UnicodeError)) or answer == []:
            raise ConnectError("the name has no address")
        if isinstance(answer, Exception):
            raise answer
        return answer


class _Stream(NetworkStream):
    """A connection whose waits end at the deadline, and whose peer must keep a minimum speed."""

    def __init__(self, stream: NetworkStream, ends: float, pace: Pace) -> None:
        self._stream = stream
        self._ends = ends
        self._pace = pace

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        began = time.monotonic()
        received = self._stream.read(max_bytes, min(IDLE, _left(self._ends, ReadTimeout)))
        self._pace.count(time.monotonic() - began, len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        for start in range(0, len(buffer), WRITE):
            patience = min(IDLE, _left(self._ends, WriteTimeout))
            self._stream.write(buffer[start : start + WRITE], patience)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> NetworkStream:
        patience = min(IDLE, _left(self._ends, ConnectTimeout))
        stream = self._stream.start_tls(ssl_context, server_hostname, patience)
        return _Stream(stream, self._ends, self._pace)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _left(ends: float, error: type[TimeoutException]) -> float:
    left = ends - time.monotonic()
    if left <= 0:
        raise error
    return left
