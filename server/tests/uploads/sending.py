"""Helpers to reserve and send uploads."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2

from aistemsplitter_server.uploads.tables import Upload
from customers import Customer
from processes import SONG

BODY = SONG.read_bytes()
TYPE = {"Content-Type": "audio/flac"}


def reserve(client: httpx2.Client, **fields: Any) -> dict[str, Any]:
    """Reserve an upload, by default of the song, and return the response."""
    body = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": len(BODY)}
    answer = client.post("/v1/audio/uploads", json=body | fields)
    assert answer.status_code == 200, answer.text
    reserved: dict[str, Any] = answer.json()["data"]
    return reserved


def send(
    url: str, body: bytes | Iterator[bytes] = BODY, method: str = "POST", **headers: str
) -> httpx2.Response:
    """Send bytes to an upload's URL."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx2.request(
        method, url, content=body, headers=TYPE | named, trust_env=False, timeout=60
    )


def error(answer: httpx2.Response) -> tuple[int, str]:
    """Return a response's status and its error's code."""
    return answer.status_code, answer.json()["error"]["code"]


def row(someone: Customer, upload_id: str) -> Upload:
    """Return an upload's row."""
    with someone.database.read() as session:
        return session.get_one(Upload, upload_id)


def wanted(client: httpx2.Client, source: dict[str, str]) -> httpx2.Response:
    """Request a split of this input."""
    body = {"input": source, "stemModel": "htdemucs_tiny"}
    return client.post("/v1/audio/splits", json=body)


def by_id(upload_id: str) -> dict[str, str]:
    """Return the input that refers to an upload by its id."""
    return {"type": "uploaded_file", "uploadId": upload_id}
