from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import peers
from aistemsplitter_server.kit import dialing
from aistemsplitter_server.kit.outgoing import (
    Outgoing,
    OutgoingError,
    TooLarge,
    Unreachable,
)
from kit.fetching import CHUNKED, LOOPBACK, fetch
from peers import Peer, answers, drips, hangs


def test_a_file(tmp_path: Path) -> None:
    body = bytes(range(256)) * 1000
    with Peer([answers(302, Location="/there?x=1"), answers(body=body)]) as peer:
        assert fetch(f"{peer.url}/here", tmp_path / "file") == len(body)
    assert (tmp_path / "file").read_bytes() == body
    assert peer.requests[1].line == "GET /there?x=1 HTTP/1.1"
    assert peer.requests[1].header("host") == f"127.0.0.1:{peer.port}"


@pytest.mark.parametrize(
    ("location", "target"),
    [
        ("/Künstler/音楽.wav?ü=1".encode(), "/K%C3%BCnstler/%E9%9F%B3%E6%A5%BD.wav?%C3%BC=1"),
        (b"/K\xfcnstler.wav", "/K%FCnstler.wav"),
        (b"/K%C3%BCnstler.wav", "/K%C3%BCnstler.wav"),
    ],
    ids=["UTF-8", "Latin-1", "encoded"],
)
def test_a_redirect_that_is_not_ascii(location: bytes, target: str, tmp_path: Path) -> None:
    """Some servers send it unencoded, and browsers request its bytes unchanged."""

    def redirect(_peer: Peer, connection: socket.socket, _request: peers.Request) -> None:
        head = b"HTTP/1.1 302 So\r\nContent-Length: 0\r\nLocation: " + location
        connection.sendall(head + b"\r\n\r\n")

    with Peer([redirect, answers(body=b"x")]) as peer:
        assert fetch(peer.url, tmp_path / "file") == 1
    assert peer.requests[1].line == f"GET {target} HTTP/1.1"


def test_a_response_that_a_proxy_has_changed(tmp_path: Path) -> None:
    with Peer([answers(203, body=b"song")]) as peer:
        assert fetch(peer.url, tmp_path / "file") == 4


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(body=b"x" * 1001),
        drips(b"HTTP/1.1 200 So\r\nContent-Length: 107374182400\r\n\r\n", b"x", 0.1),
        drips(b"HTTP/1.1 200 So\r\n\r\n", b"x" * 600),
        drips(CHUNKED, b"200\r\n" + b"x" * 512 + b"\r\n"),
    ],
    ids=["larger", "claims 100 GB", "never ends", "never ends, in chunks"],
)
def test_too_large(behaviour: peers.Behaviour, tmp_path: Path) -> None:
    with Peer([behaviour]) as peer, pytest.raises(TooLarge) as caught:
        fetch(peer.url, tmp_path / "file", limit=1000)
    assert caught.value.code == "INPUT_TOO_LARGE"
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "behaviour",
    [
        hangs,
        drips(b"HTTP/1.1 200 So\r\n", b"X-More: 1\r\n", 0.05),
        drips(b"", b"HTTP/1.1 100 Continue\r\n\r\n", 0.05),
        drips(b"HTTP/1.1 200 So\r\nContent-Length: 1000\r\n\r\n", b"x", 0.05),
        drips(CHUNKED, b"1\r\nx\r\n", 0.05),
    ],
    ids=["hangs", "headers without end", "100 without end", "drips", "drips chunks"],
)
def test_too_slow(behaviour: peers.Behaviour, tmp_path: Path) -> None:
    began = time.monotonic()
    with Peer([behaviour]) as peer, pytest.raises(Unreachable, match="in time"):
        fetch(peer.url, tmp_path / "file", deadline=0.5)
    assert 0.4 < time.monotonic() - began < 30
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize(
    "behaviour",
    [
        drips(b"HTTP/1.1 200 So\r\n", b"X-More: 1\r\n", 0.02),
        drips(b"HTTP/1.1 200 So\r\nContent-Length: 1000000\r\n\r\n", b"x", 0.02),
        drips(CHUNKED, b"1\r\nx\r\n", 0.02),
        drips(CHUNKED, b"1", 0.02),
    ],
    ids=["headers", "body", "chunks", "one chunk's length"],
)
def test_a_server_below_the_minimum_rate(
    behaviour: peers.Behaviour, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Detected long before the deadline."""
    monkeypatch.setattr(dialing, "WINDOW", 0.3)
    with Peer([behaviour]) as peer, pytest.raises(Unreachable, match="less than 4 KiB a second"):
        fetch(peer.url, tmp_path / "file", deadline=600)
    assert not (tmp_path / "file").exists()


def test_a_slow_server_above_the_minimum_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its head takes most of a window, and its body several."""
    monkeypatch.setattr(dialing, "WINDOW", 0.5)

    def behave(peer: Peer, connection: socket.socket, _request: peers.Request) -> None:
        peer.stopping.wait(0.4)
        connection.sendall(b"HTTP/1.1 200 So\r\nContent-Length: 80000\r\n\r\n")
        for _ in range(8):
            peer.stopping.wait(0.2)
            connection.sendall(bytes(10_000))

    with Peer([behave]) as peer:
        assert fetch(peer.url, tmp_path / "file") == 80_000


@pytest.mark.parametrize(
    ("behaviour", "announced"),
    [
        (answers(body=b"four"), 4),
        (drips(CHUNKED + b"4\r\nfour\r\n0\r\n\r\n", b"", 60), None),
    ],
)
def test_the_size_is_reported_before_the_download(
    behaviour: peers.Behaviour, announced: int | None, tmp_path: Path
) -> None:
    sizes: list[int | None] = []

    def note(size: int | None) -> None:
        assert not (tmp_path / "file").exists()
        sizes.append(size)

    with Peer([behaviour]) as peer:
        Outgoing(LOOPBACK).fetch(
            peer.url, tmp_path / "file", limit=1000, deadline=20, announced=note
        )
    assert sizes == [announced]


@pytest.mark.parametrize("length", ["9" * 21, "9" * 5000, "-1", "4, 5"])
def test_invalid_content_lengths(length: str, tmp_path: Path) -> None:
    head = f"HTTP/1.1 200 So\r\nContent-Length: {length}\r\n\r\nfour".encode()
    with Peer([drips(head, b"", 60)]) as peer, pytest.raises(OutgoingError):
        fetch(peer.url, tmp_path / "file")


@pytest.mark.parametrize(
    "behaviour",
    [
        answers(404, b"no"),
        answers(204),
        answers(302),
        answers(206, b"part"),
        answers(200, b"\x1f\x8b", Content_Encoding="gzip"),
        lambda _peer, connection, _request: connection.sendall(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
        lambda _peer, connection, _request: connection.sendall(
            b"HTTP/1.1 200 So\r\nContent-Length: 100\r\n\r\nhalf"
        ),
        lambda _peer, connection, _request: connection.close(),
        drips(b"HTTP/1.1 200 So\r\n", b"X: " + b"y" * 10_000 + b"\r\n"),
    ],
)  # fmt: skip
def test_unsuccessful_responses(behaviour: peers.Behaviour, tmp_path: Path) -> None:
    with Peer([behaviour]) as peer, pytest.raises(Unreachable):
        fetch(peer.url, tmp_path / "file")
    assert not (tmp_path / "file").exists()


def test_no_server(tmp_path: Path) -> None:
    with Peer([hangs]) as peer:
        pass
    with pytest.raises(Unreachable, match="cannot be reached"):
        fetch(peer.url, tmp_path / "file")


def test_proxies_of_the_environment_are_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Peer([answers(body=b"target")]) as peer, Peer([answers(body=b"proxy")]) as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        fetch(peer.url, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"target"


def test_a_write_error_is_not_blamed_on_the_url(tmp_path: Path) -> None:
    with Peer([answers(body=b"x")]) as peer, pytest.raises(FileNotFoundError):
        fetch(peer.url, tmp_path / "missing" / "file")


MEMORY = """
import sys
from pathlib import Path
from aistemsplitter_server.kit import addresses, dialing
from aistemsplitter_server.kit.outgoing import Outgoing
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
client = Outgoing(addresses.networks("127.0.0.1"))
client.fetch(sys.argv[1], Path("small"), limit=1 << 20, deadline=60)
before = peak()
client.fetch(sys.argv[1], Path("large"), limit=1 << 30, deadline=60)
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    size, piece = 200 << 20, bytes(1 << 20)

    def large(_peer: Peer, connection: socket.socket, _request: peers.Request) -> None:
        connection.sendall(f"HTTP/1.1 200 So\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // len(piece)):
            connection.sendall(piece)

    with Peer([answers(body=piece), large]) as peer:
        command = [sys.executable, "-c", MEMORY, peer.url]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "large").stat().st_size == size
    assert int(done.stdout) < 8 << 10  # KiB
