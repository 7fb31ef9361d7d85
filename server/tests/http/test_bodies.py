from __future__ import annotations

import logging
import socket

import httpx2
import pytest

from aistemsplitter_server.http import bodies
from aistemsplitter_server.kit import strict_json
from customers import Customer
from databases import only_sqlite
from processes import until
from scraping import scraped

pytestmark = only_sqlite  # what bodies cost does not depend on the database

JSON = {"Content-Type": "application/json"}
LARGE = 1 << 19  # bytes


@pytest.fixture
def client(client: httpx2.Client, someone: Customer) -> httpx2.Client:
    """A client with the customer's key."""
    client.headers.update(someone.headers)
    return client


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"fileName": "a.wav", "seconds": 1, "colour": 1}', ["colour"]),
        (b'{"fileName": 1, "seconds": "1"}', ["fileName", "seconds"]),
        (b'{"file_name": "a.wav", "seconds": 1}', ["fileName", "file_name"]),
        (b"{", ["body"]),
        (b"", ["body"]),
        (b'"\xff"', ["body"]),
        (b'{"fileName": "a", "fileName": "b", "seconds": 1}', ["fileName"]),
        (b'{"fileName": "a", "seconds": NaN}', ["body"]),
        (b'{"fileName": "a", "seconds": -Infinity}', ["body"]),
        (b'{"fileName": "a", "seconds": 1e999}', ["body"]),
        (b'{"fileName": "a", "seconds": %s}' % (b"9" * 5000), ["body"]),
        (b'{"fileName": "a\\u0000b", "seconds": 1}', ["fileName"]),
        (b'{"fileName": "a\\ud800b", "seconds": 1}', ["fileName"]),
        (b'{"fileName": "a", "seconds": {"deep": ["\\u0000"]}}', ["seconds.deep.0"]),
        (b'{"fileName": "a\x00b", "seconds": 1}', ["body"]),
        (b'\xef\xbb\xbf{"fileName": "a", "seconds": 1}', ["body"]),
        (b'{"fileName": "a", "seconds": 1} x', ["body"]),
        (b"[" * 33 + b"]" * 33, ["body"]),
        (b"[" * 100_000, ["body"]),
        (b'{"a":' * 100_000, ["body"]),
        (b"[%s0]" % (b"0," * strict_json.VALUES), ["body"]),
        (b"[%s[]]" % (b"[]," * strict_json.STRUCTURE), ["body"]),
        (b'{"%s": 1, "%s": 2}' % (b"a" * 1000, b"a" * 1000), ["a" * 64]),
        (b'{"fileName": "%s", "a": 1, "a": 2}' % (b"x" * bodies.LARGE), ["a"]),
    ],
)
def test_every_wrong_field_is_named(client: httpx2.Client, body: bytes, fields: list[str]) -> None:
    answer = client.post(
        "/v1/test/songs", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert [fault["field"] for fault in error["details"]] == fields
    assert all(field in error["message"] for field in fields)


@pytest.mark.parametrize("kind", [None, "text/plain", "application/x-www-form-urlencoded", "json"])
def test_a_body_with_another_content_type(client: httpx2.Client, kind: str | None) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    body = b'{"fileName": "a.wav", "seconds": 1}'
    answer = client.post("/v1/test/songs", content=body, headers=headers)
    assert answer.status_code == 422
    assert answer.json()["error"]["details"] == [
        {"field": "Content-Type", "message": "must be application/json"}
    ]


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/json;x=y"]
)
def test_a_valid_body(client: httpx2.Client, kind: str) -> None:
    body = (
        '{"fileName": "\\ud83c\\udfb5 – é", "seconds": 1}'.encode()
    )  # a surrogate pair is one character
    answer = client.post("/v1/test/songs", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.text) == (200, "1")


def test_an_unexpected_body_is_ignored(client: httpx2.Client) -> None:
    answer = client.request("GET", "/healthz", content=b"\xff\x00", headers=JSON)
    assert answer.status_code == 200


def begun(client: httpx2.Client, path: str, **headers: str) -> socket.socket:
    """Open a connection and send a request without its body."""
    connection = socket.create_connection((client.base_url.host, client.base_url.port or 0), 20)
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode())
    return connection


def status(connection: socket.socket) -> int:
    """Return the status of the response on the connection."""
    with connection:
        return int(connection.recv(12).decode().split()[1])


@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("/v1/audio/splits", {}, 401),
        ("/v1/audio/splits", {"Authorization": "Bearer nonsense"}, 401),
        ("/v1/nothing", {}, 401),
        ("/payments/stripe", {}, 413),
        ("/metrics", {}, 405),
        ("/sign-in", {"Sec_Fetch_Site": "same-origin"}, 413),
        ("/studio/splits", {"Sec_Fetch_Site": "same-origin", "Cookie": "__Host-session=x"}, 413),
        ("/studio/splits", {}, 403),
    ],
)
def test_an_unauthenticated_body_is_not_read(
    client: httpx2.Client, path: str, headers: dict[str, str], expected: int
) -> None:
    """The response comes although not a single byte of the body does."""
    sent = {"Content_Type": "application/json", "Content_Length": str(LARGE), **headers}
    assert status(begun(client, path, **sent)) == expected


def test_a_body_that_does_not_arrive(
    client: httpx2.Client, someone: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "SECONDS", 0.2)
    sent = {"Content_Type": "application/json", "Content_Length": "10", **someone.headers}
    assert status(begun(client, "/v1/audio/splits", **sent)) == 408


def test_a_client_that_disconnects_causes_no_error(
    client: httpx2.Client, someone: Customer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sent = {"Content_Type": "application/json", "Content_Length": "10", **someone.headers}
    begun(client, "/v1/audio/splits", **sent).close()
    until(lambda: [record for record in caplog.records if record.message == "request"])
    assert {record.levelname for record in caplog.records} == {"INFO"}
    assert 'status="gone"' in scraped(client)
