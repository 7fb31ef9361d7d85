from __future__ import annotations

import httpx2
import pytest

JSON = {"Content-Type": "application/json"}


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
def test_a_body_that_is_not_said_to_be_json(client: httpx2.Client, kind: str | None) -> None:
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
def test_a_body_that_is_right(client: httpx2.Client, kind: str) -> None:
    body = '{"fileName": "\\ud83c\\udfb5 – é", "seconds": 1}'.encode()  # a pair is a letter
    answer = client.post("/v1/test/songs", content=body, headers={"Content-Type": kind})
    assert (answer.status_code, answer.text) == (200, "1")


def test_a_body_where_none_belongs_changes_nothing(client: httpx2.Client) -> None:
    answer = client.request("GET", "/healthz", content=b"\xff\x00", headers=JSON)
    assert answer.status_code == 200
