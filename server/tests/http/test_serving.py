from __future__ import annotations

import json
import socket
import threading
from contextlib import ExitStack, closing
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

import httpx2
import pytest
from fastapi import FastAPI

import activation
from aistemsplitter_server.http import serving
from aistemsplitter_server.http.serving import HEAD_LIMIT
from aistemsplitter_server.kit.settings import Settings
from command_line import COMMAND
from customers import Customer
from databases import Databases
from processes import until


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


def test_event_streams_end_at_a_stop_with_a_hint_to_reconnect(
    app: FastAPI, someone: Customer
) -> None:
    context = app.state.context
    split_id = someone.split().id
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = serving.server(app, context.settings, context.changes.end)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1/audio/splits/{split_id}/events"
        try:
            with httpx2.stream(
                "GET", url, headers=someone.headers, trust_env=False, timeout=120
            ) as response:
                lines = response.iter_lines()
                assert next(lines).startswith("id: ")
                server.should_exit = True
                assert "retry: 1000" in [*lines]
        finally:
            server.should_exit = True
            thread.join()


def test_a_request_that_arrives_at_a_stop_is_answered(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a new connection, and on one that has already been used."""
    monkeypatch.setattr(serving, "LAST_REQUEST_SECONDS", 300)
    context = app.state.context
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = serving.server(app, context.settings, context.changes.end)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        stack.callback(thread.join)
        stack.callback(setattr, server, "should_exit", True)
        clients = [
            HTTPConnection(*listener.getsockname(), timeout=120),
            HTTPConnection(*listener.getsockname(), timeout=120),
        ]
        for client in clients:
            stack.enter_context(closing(client))
            client.connect()
        assert _health(clients[0]).getheader("Connection") is None
        until(lambda: len(server.server_state.connections) == len(clients))
        server.should_exit = True
        until(lambda: not server.servers[0].is_serving())
        for client in clients:
            assert _health(client).getheader("Connection") == "close"


def _health(client: HTTPConnection) -> HTTPResponse:
    client.request("GET", "/healthz")
    answer = client.getresponse()
    assert answer.status == 200
    answer.read()
    return answer


def test_a_listening_socket_from_systemd(tmp_path: Path, sqlite_databases: Databases) -> None:
    settings = Settings(data=tmp_path / "data")
    sqlite_databases.create(settings.database)
    command = [*COMMAND, "--data", str(settings.data), "api"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = activation.start(listener, command)
        try:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"
            assert httpx2.get(url, trust_env=False, timeout=300).status_code == 200
        finally:
            process.terminate()
            process.wait()
