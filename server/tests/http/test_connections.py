"""Silent, slow, stalled and too many connections do not keep others from being served."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

from aistemsplitter_server.http import connections, serving
from aistemsplitter_server.http.connections import Connections
from aistemsplitter_server.kit import ids
from aistemsplitter_server.splits import stream
from aistemsplitter_server.storage import keys
from customers import Customer
from databases import only_sqlite
from processes import until
from serving import serving as served

MOST = 16
LARGE = 64 << 20  # bytes: far more than the system's socket buffers hold
HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def client(app: FastAPI, monkeypatch: pytest.MonkeyPatch) -> Iterator[httpx2.Client]:
    """A client of a server with a low connection limit."""
    monkeypatch.setattr(connections, "limit", lambda: MOST)
    monkeypatch.setattr(serving, "KEEP_ALIVE", 1)
    with served(app) as client:
        yield client


@pytest.fixture
def opened() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def connect(
    opened: ExitStack, client: httpx2.Client, sent: bytes = b"", source: str = "127.0.0.1"
) -> socket.socket:
    """Open a connection and send this."""
    address = ("127.0.0.1", client.base_url.port or 0)
    line = opened.enter_context(socket.create_connection(address, 30, (source, 0)))
    line.sendall(sent)
    return line


def status(line: socket.socket) -> bytes:
    return line.recv(4096).partition(b"\r\n")[0][9:12]


def healthy(client: httpx2.Client) -> bool:
    """Return whether a new client is served."""
    with httpx2.Client(base_url=client.base_url, trust_env=False, timeout=30) as other:
        return other.get("/healthz").status_code == 200


@only_sqlite
@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\n", HEALTH])
def test_silent_connections_do_not_block_others(
    client: httpx2.Client, opened: ExitStack, sent: bytes
) -> None:
    """Including those that had a response before, or have begun a request."""
    for _ in range(MOST * 3):
        connect(opened, client, sent)
    assert healthy(client)


@only_sqlite
def test_all_connections_are_busy(
    client: httpx2.Client, opened: ExitStack, someone: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Open event streams continue, and new clients get a Retry-After."""
    monkeypatch.setattr(stream, "HEARTBEAT", 0.1)
    monkeypatch.setattr(connections, "REFUSED", 2)
    path = f"/v1/audio/splits/{someone.split().id}/events"
    key = someone.headers["Authorization"]
    ask = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode()
    streams = []
    for _ in range(MOST):
        streams.append(connect(opened, client, ask))
        assert status(streams[-1]) == b"200"
    with connect(opened, client, HEALTH) as late:
        head, _, body = late.recv(4096).decode().partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 503 ")
    assert "retry-after: 5" in head
    assert json.loads(body)["error"]["code"] == "UNAVAILABLE"
    silent = [connect(opened, client) for _ in range(connections.REFUSED)]
    until(lambda: unanswered(opened, client))
    assert all(each.recv(4096) for each in streams)
    for each in (*silent, streams.pop()):
        each.close()
    until(lambda: status(connect(opened, client, HEALTH)) == b"200")


def unanswered(opened: ExitStack, client: httpx2.Client) -> bool:
    """Return whether a new connection is closed without a response."""
    try:
        return not status(connect(opened, client, HEALTH))
    except ConnectionError:
        return True


@only_sqlite
def test_connections_per_address_are_limited(
    client: httpx2.Client, opened: ExitStack, someone: Customer
) -> None:
    path = f"/v1/audio/splits/{someone.split().id}/events"
    key = someone.headers["Authorization"]
    ask = f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n".encode()
    for _ in range(MOST // connections.SHARE):
        assert status(connect(opened, client, ask, "127.0.0.2")) == b"200"
    assert status(connect(opened, client, HEALTH, "127.0.0.2")) == b"503"
    assert status(connect(opened, client, HEALTH, "127.0.0.3")) == b"200"


@only_sqlite
@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"", b""),
        (b"GET /healthz HTTP/1.1\r\nA: b", b"408"),
        (HEALTH, b"200"),
        # A body without an end, which is not read.
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\na", b"200"),
    ],
)
def test_slow_requests(
    client: httpx2.Client,
    opened: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    sent: bytes,
    answer: bytes,
) -> None:
    monkeypatch.setattr(serving, "HEAD_SECONDS", 0.2)
    line = connect(opened, client, sent)
    assert status(line) == answer
    while line.recv(4096):  # until the connection is closed
        pass


@only_sqlite
def test_a_client_that_reads_nothing(
    app: FastAPI,
    client: httpx2.Client,
    opened: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
) -> None:
    """Its download ends; that of a client that reads slowly continues."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(serving, "STALLED", 1)
    context = app.state.context
    storage = context.storage.at("")
    song, key = tmp_path / "song", keys.upload(ids.new("upl"))
    song.write_bytes(bytes(LARGE))
    storage.put_file(key, song)
    url = storage.url(key, expires_in=timedelta(hours=1), filename="song")
    ask = f"GET {url} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    stalled, slow = (connect(opened, client, ask) for _ in range(2))
    assert stalled.recv(4096)

    def ended() -> int:
        slow.recv(1 << 17)
        return sum(record.message == "request" for record in caplog.records)

    until(ended)
    assert ended() == 1
    until(lambda: is_closed(stalled))


def is_closed(line: socket.socket) -> bool:
    try:
        return not line.recv(1 << 20)
    except ConnectionError:
        return True


class Idle:
    """A connection that can be evicted."""

    def __init__(self) -> None:
        self.evicted = False

    def evict(self) -> None:
        self.evicted = True


def test_the_longest_idle_connection_is_evicted() -> None:
    open_connections = Connections(3, proxies=("10.0.0.1",))
    first, second, third, fourth = (Idle() for _ in range(4))
    for each in (first, second, third):
        assert open_connections.admit(each, "10.0.0.1")
    open_connections.busy(first)
    open_connections.idle(first)
    open_connections.busy(third)
    assert open_connections.admit(fourth, "10.0.0.1")
    assert [each.evicted for each in (first, second, third)] == [False, True, False]
    open_connections.idle(second)  # too late
    open_connections.busy(first)
    open_connections.busy(fourth)
    assert not open_connections.admit(second, "10.0.0.1")
    open_connections.leave(third)
    assert open_connections.admit(Idle(), None)


def test_the_limit_follows_the_file_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"soft": 1024}
    monkeypatch.setattr("resource.getrlimit", lambda _kind: (limits["soft"], 1 << 20))
    assert connections.limit() == 384
    limits["soft"] = 64
    assert connections.limit() == connections.LEAST
    limits["soft"] = 1 << 20
    assert connections.limit() == connections.MOST
