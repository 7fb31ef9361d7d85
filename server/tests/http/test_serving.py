from __future__ import annotations

import json
import socket

import httpx2
import pytest

from aistemsplitter_server.http.serving import HEAD_LIMIT


def raw(client: httpx2.Client, sent: bytes) -> tuple[str, str]:
    """Send these bytes; return the head and the body of the response, read until the end."""
    got = b""
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.sendall(sent)
        while piece := connection.recv(1 << 16):
            got += piece
    head, _, body = got.decode().partition("\r\n\r\n")
    return head.lower(), body


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA B: c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nA: b\0c\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET /heal\xffthz HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nA: " + b"a" * HEAD_LIMIT,
        b"GET /" + b"a" * HEAD_LIMIT,
    ],
    ids=lambda sent: repr(sent[:40]),
)
def test_input_that_is_not_http(client: httpx2.Client, sent: bytes) -> None:
    head, body = raw(client, sent)
    assert head.startswith("http/1.1 400 ")
    assert "request-id: req_" in head
    assert "content-type: application/json" in head
    assert json.loads(body)["error"]["code"] == "BAD_REQUEST"
    assert client.get("/healthz").status_code == 200


def test_many_requests_on_one_connection(client: httpx2.Client) -> None:
    body = b" " * (HEAD_LIMIT * 4)  # larger than the limit of a head
    for _ in range(3):
        answer = client.request(
            "GET", "/healthz", content=body, headers={"A": "a" * (HEAD_LIMIT // 2)}
        )
        assert answer.status_code == 200


def test_there_is_no_server_header(client: httpx2.Client) -> None:
    assert "server" not in client.get("/healthz").headers


def test_no_websockets(client: httpx2.Client) -> None:
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }
    assert client.get("/healthz", headers=headers).status_code == 200
