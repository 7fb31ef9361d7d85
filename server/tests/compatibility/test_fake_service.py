"""The SDK's fake service answers uploads like the real one: the same requests to both."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

import httpx2
import pytest

from customers import Customer
from databases import only_sqlite
from loopback import Loopback

pytestmark = only_sqlite  # the fake is compared with the API, not with its databases

BODY = b"RIFF" + bytes(range(256))
RESERVED = {"Content-Type": "audio/flac"}
FORM_LIKE = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nRIFF\r\n--b--\r\n'
OTHER_TYPE = {"Content-Type": "multipart/form-data; boundary=b"}

Answer: TypeAlias = tuple[int, list[str], str | None]
Request: TypeAlias = dict[str, Any]

#: Requests to the URL of one reservation, for the length of the first file.
REQUESTS: dict[str, list[Request]] = {
    "whole": [{"content": BODY, "headers": RESERVED}],
    "twice": 2 * [{"content": BODY, "headers": RESERVED}],
    "short": [{"content": BODY[:-1], "headers": RESERVED}],
    "again after short": [{"content": c, "headers": RESERVED} for c in (BODY[:-1], BODY)],
    "long": [{"content": BODY + b"!", "headers": RESERVED}],
    "much too long": [{"content": BODY + bytes(20_000), "headers": RESERVED}],
    "type in capitals": [{"content": BODY, "headers": {"Content-Type": "Audio/FLAC; x=y"}}],
    "another type": [{"content": BODY, "headers": {"Content-Type": "audio/mpeg"}}],
    "no type": [{"content": BODY}],
    "wrong signature": [{"content": BODY, "headers": RESERVED, "params": {"signature": "x"}}],
    "form": [{"files": {"file": ("x.flac", BODY)}}],
    "form with the reserved type": [{"files": {"file": ("x.flac", BODY)}, "headers": RESERVED}],
    "form of several parts": [{"files": {"note": ("n", b"file"), "file": ("x", BODY)}}],
    "form without the file": [{"files": {"other": ("file", BODY)}}],
    "form with two files": [{"files": [("file", ("x", BODY)), ("file", ("y", BODY))]}],
    "form with a short file": [{"files": {"file": ("x", BODY[:-1])}}],
    "form with a long file": [{"files": {"file": ("x", BODY + b"!")}}],
    "form with a long file and the reserved type": [
        {"files": {"file": ("x", BODY + b"!")}, "headers": RESERVED}
    ],
    "no form": [{"content": BODY, "headers": OTHER_TYPE}],
    "form that is cut": [{"content": FORM_LIKE[:-6], "headers": OTHER_TYPE}],
    "form without a boundary": [
        {"content": FORM_LIKE, "headers": {"Content-Type": "multipart/form-data"}}
    ],
}


@pytest.fixture
def fake() -> Iterator[httpx2.Client]:
    headers = {"Authorization": "Bearer ast_test_fake"}
    with (
        Loopback() as server,
        httpx2.Client(base_url=server.url, headers=headers, trust_env=False, timeout=60) as client,
    ):
        yield client


def answers(
    client: httpx2.Client, method: str, requests: list[Request], length: int = len(BODY)
) -> list[Answer]:
    """Reserve an upload, send the requests and return status, keys and error code of each."""
    body = {"filename": "a.flac", "contentType": "audio/flac", "contentLength": length}
    reserved = client.post("/v1/audio/uploads", json=body).json()["data"]
    assert reserved["uploadHeaders"] == reserved["direct"]["headers"] == RESERVED
    found = []
    for request in requests:
        answer = httpx2.request(
            method, reserved["uploadUrl"], **request, trust_env=False, timeout=60
        )
        fields = answer.json()
        if answer.status_code == 200:
            assert fields["data"] == {
                "url": reserved["audioUrl"],
                "key": f"uploads/{reserved['uploadId']}",
            }
        code = fields.get("error", {}).get("code")
        found.append((answer.status_code, [*fields], code))
    return found


@pytest.mark.parametrize("method", ["PUT", "POST"])
@pytest.mark.parametrize("name", REQUESTS)
def test_uploads(
    client: httpx2.Client, fake: httpx2.Client, someone: Customer, method: str, name: str
) -> None:
    client.headers.update(someone.headers)
    requests = REQUESTS[name]
    assert answers(fake, method, requests) == answers(client, method, requests)


def test_a_file_that_looks_like_a_form(
    client: httpx2.Client, fake: httpx2.Client, someone: Customer
) -> None:
    client.headers.update(someone.headers)
    requests = [{"content": FORM_LIKE, "headers": RESERVED}]
    found = [answers(each, "PUT", requests, len(FORM_LIKE)) for each in (client, fake)]
    assert found == 2 * [[(200, ["success", "data"], None)]]
