"""Peers with real sockets on loopback that misbehave as a test requires."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Request:
    """A received request."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Return the value of a header that occurs once."""
        (value,) = (value for key, value in self.headers if key.lower() == name.lower())
        return value


Behaviour = Callable[["Peer", socket.socket, Request], None]


def answers(status: int = 200, body: bytes = b"", **headers: str) -> Behaviour:
    """Send a response with a Content-Length."""
    lines = [f"HTTP/1.1 {status} So", f"Content-Length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join([*lines, "", ""]).encode()

    def behave(_peer: Peer, connection: socket.socket, _request: Request) -> None:
        connection.sendall(head + body)

    return behave


def hangs(_peer: Peer, connection: socket.socket, _request: Request) -> None:
    """Send nothing until the client disconnects."""
    while connection.recv(4096):
        pass


def drips(head: bytes, piece: bytes, pause: float = 0.0) -> Behaviour:
    """Send a head, and then pieces for ever."""

    def behave(peer: Peer, connection: socket.socket, _request: Request) -> None:
        connection.sendall(head)
        while not peer.stopping.wait(pause):
            connection.sendall(piece)

    return behave


@dataclass
class Peer:
    """A server on 127.0.0.1; each request gets the next behaviour, later ones the last."""

    behaviours: list[Behaviour]
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    stopping: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        # Closing a socket does not wake a thread that waits in it; shutting it down does.
        for waiting in (self._listener, *self._connections):
            with contextlib.suppress(OSError):
                waiting.shutdown(socket.SHUT_RDWR)
            waiting.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while not self.stopping.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            if self.tls:
                connection = self.tls.wrap_socket(connection, server_side=True)
            with connection:
                request = _read(connection)
                if request is None:
                    return
                behaviour = self.behaviours[min(len(self.requests), len(self.behaviours) - 1)]
                self.requests.append(request)
                behaviour(self, connection, request)


def _read(connection: socket.socket) -> Request | None:
    received = b""
    while b"\r\n\r\n" not in received:
        piece = connection.recv(65536)
        if not piece:
            return None
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    line, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value.strip()) for name, _, value in (x.partition(":") for x in lines)]
    length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
    while len(body) < length and (piece := connection.recv(65536)):
        body += piece
    return Request(line, headers, body)
