"""Outgoing POST requests, as to receivers of webhooks."""

from __future__ import annotations

import pytest

from aistemsplitter_server.kit.outgoing import NotAllowed, Outgoing, OutgoingError
from kit.fetching import LOOPBACK
from peers import Peer, answers, drips, hangs


def test_post() -> None:
    with Peer([answers(503, "nicht überall\0".encode() + b"\xff" * 5000, Retry_After="7")]) as peer:
        headers = {"Content-Type": "application/json", "X-Signature": "s"}
        answer = Outgoing(LOOPBACK).post(f"{peer.url}/hook?a=b", b"{}", headers, timeout=10)
    assert (answer.status, answer.retry_after) == (503, "7")
    assert answer.excerpt.startswith("nicht überall\N{REPLACEMENT CHARACTER}")
    assert len(answer.excerpt) <= 2048
    assert 0 < answer.latency < 10
    (request,) = peer.requests
    assert request.line == "POST /hook?a=b HTTP/1.1"
    assert request.body == b"{}"
    assert request.header("x-signature") == "s"
    assert request.header("content-length") == "2"


def test_post_follows_no_redirect() -> None:
    with Peer([answers(307, Location="/elsewhere"), answers(200)]) as peer:
        assert Outgoing(LOOPBACK).post(peer.url, b"{}", {}, timeout=10).status == 307
    assert len(peer.requests) == 1


def test_the_body_of_an_endless_response_is_cut() -> None:
    with Peer([drips(b"HTTP/1.1 200 So\r\n\r\n", b"x", 0.05)]) as peer:
        answer = Outgoing(LOOPBACK).post(peer.url, b"{}", {}, timeout=2)
    assert answer.status == 200
    assert set(answer.excerpt) == {"x"}


@pytest.mark.parametrize("url", ["http://127.0.0.2/", "http://[::1]/", "ftp://127.0.0.1/"])
def test_post_to_a_private_address_is_refused(url: str) -> None:
    with pytest.raises(NotAllowed):
        Outgoing(LOOPBACK).post(url, b"{}", {}, timeout=5)


def test_a_receiver_that_hangs() -> None:
    with Peer([hangs]) as peer, pytest.raises(OutgoingError):
        Outgoing(LOOPBACK).post(peer.url, b"{}", {}, timeout=0.3)
