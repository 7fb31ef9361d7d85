"""Direct uploads: reserving them, and sending bytes to the bucket."""

from __future__ import annotations

from typing import Any

import httpx2

from aistemsplitter_server.storage.interface import DirectUploads, Storage
from uploads.sending import BODY

DIRECT = {"Direct-Upload": "true"}


def uploads_of(storage: Storage) -> DirectUploads:
    """Return the direct uploads, which this storage has."""
    found = storage.direct()
    assert found is not None
    return found


def reserve(client: httpx2.Client, headers: dict[str, str] = DIRECT, **fields: Any) -> Any:
    """Reserve a direct upload of the song, and return the response's data."""
    body = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": len(BODY)}
    answer = client.post("/v1/audio/uploads", json=body | fields, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def put(web: httpx2.Client, reserved: Any, body: bytes = BODY, **changed: str | None) -> int:
    """Send bytes to the bucket, and return the status. Headers that are None are left out."""
    headers = reserved["direct"]["headers"] | {
        name.replace("_", "-"): value for name, value in changed.items()
    }
    sent = {name: value for name, value in headers.items() if value is not None}
    return web.put(reserved["direct"]["url"], content=body, headers=sent).status_code
