"""Addresses, redirects and host names of outgoing requests."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aistemsplitter_server.kit.outgoing import (
    NotAllowed,
    Outgoing,
    Unreachable,
)
from kit.fetching import LOOPBACK, fetch, names
from peers import Peer, answers


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "localhost", "127.1", "0x7f000001", "2130706433", "[::1]", "[::ffff:127.0.0.1]"],
)
def test_private_addresses_are_refused(host: str, tmp_path: Path) -> None:
    with Peer([answers()]) as peer:
        with pytest.raises(NotAllowed) as caught:
            fetch(f"http://{host}:{peer.port}/", tmp_path / "file", client=Outgoing())
        assert caught.value.code == "INPUT_FORBIDDEN"
    assert peer.requests == []


@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.2:{port}/",
        "http://169.254.169.254/latest/meta-data/",
        "//169.254.169.254/",
        "http://[::ffff:169.254.169.254]/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://user:password@127.0.0.1:{port}/",
        "http://127.0.0.1:99999/",
    ],
)
def test_redirects_are_checked(target: str, tmp_path: Path) -> None:
    """Only 127.0.0.1 is allowed here."""
    with Peer([answers()]) as peer:
        peer.behaviours = [answers(302, Location=target.format(port=peer.port))]
        with pytest.raises(NotAllowed):
            fetch(peer.url, tmp_path / "file")
    assert len(peer.requests) == 1
    assert not (tmp_path / "file").exists()


def test_endless_redirects(tmp_path: Path) -> None:
    with Peer([answers(301, Location="/")]) as peer, pytest.raises(Unreachable, match="5 times"):
        fetch(peer.url, tmp_path / "file")
    assert len(peer.requests) == 6


def test_dns_rebinding(tmp_path: Path) -> None:
    """The checked address is the one connected to; a second lookup is checked again."""
    client = Outgoing(LOOPBACK, resolve=names(rebound=["127.0.0.1", "127.0.0.2"]))
    with Peer([answers(302, Location="/again"), answers()]) as peer:
        url = f"http://rebound.example:{peer.port}/"
        with pytest.raises(NotAllowed, match=r"rebound\.example is private"):
            fetch(url, tmp_path / "file", client=client)
    assert len(peer.requests) == 1
    assert peer.requests[0].header("host") == f"rebound.example:{peer.port}"


def test_a_name_with_an_allowed_and_a_forbidden_address(tmp_path: Path) -> None:
    client = Outgoing(LOOPBACK, resolve=lambda _host, _port: ["127.0.0.2", "127.0.0.1"])
    with Peer([answers(body=b"x")]) as peer:
        assert fetch(f"http://mixed.example:{peer.port}/", tmp_path / "file", client=client) == 1


def test_a_resolver_that_hangs(tmp_path: Path) -> None:
    over = threading.Event()

    def resolve(_host: str, _port: int) -> list[str]:
        over.wait(60)
        return []

    began = time.monotonic()
    with pytest.raises(Unreachable):
        fetch(
            "http://slow.example/", tmp_path / "x", deadline=0.2, client=Outgoing(resolve=resolve)
        )
    assert time.monotonic() - began < 30
    over.set()


def test_unknown_host_names(tmp_path: Path) -> None:
    def resolve(_host: str, _port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    for url in ("http://nowhere.example/", "http://nowhere.example/?token=hidden"):
        with pytest.raises(Unreachable) as caught:
            fetch(url, tmp_path / "file", client=Outgoing(resolve=resolve))
        assert "hidden" not in str(caught.value)
        assert caught.value.code == "INPUT_UNREACHABLE"


@pytest.mark.parametrize(
    "url", ["", "ftp://a.example/", "http:///x", "http://u:p@a.example/", "http://ａ.example/"]
)
def test_urls_that_are_not_allowed(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotAllowed):
        fetch(url, tmp_path / "file")


def certificate(name: str, folder: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return a server's TLS context for a name, and a client's that trusts only that."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "both.pem").write_bytes(private + made)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "both.pem")
    return server, ssl.create_default_context(cadata=made.decode())


def test_tls_verifies_the_name_not_the_address(tmp_path: Path) -> None:
    server, client = certificate("songs.example", tmp_path)
    known = names(songs=["127.0.0.1"], others=["127.0.0.1"])
    with Peer([answers(body=b"x")], tls=server) as peer:
        trusting = Outgoing(LOOPBACK, resolve=known, tls=client)
        assert fetch(f"https://songs.example:{peer.port}/", tmp_path / "1", client=trusting) == 1
        with pytest.raises(Unreachable, match="TLS"):
            fetch(f"https://others.example:{peer.port}/", tmp_path / "2", client=trusting)
        wary = Outgoing(LOOPBACK, resolve=known)
        with pytest.raises(Unreachable, match="TLS"):
            fetch(f"https://songs.example:{peer.port}/", tmp_path / "3", client=wary)
