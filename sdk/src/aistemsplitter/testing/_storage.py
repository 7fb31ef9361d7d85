"""The fake service's storage: objects under presigned URLs, with ranges and checksums."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import uuid
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from aistemsplitter._effects import Reply, Request


def silence(seconds: float = 0.1) -> bytes:
    """A WAV file of silence: one channel, 16 bits, 8 kHz."""
    data = bytes(2 * round(8000 * seconds))
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       8000, 16000, 2, 16, b"data", len(data))  # fmt: skip
    return head + data


class FakeStorage:
    """Objects under signed URLs, which can be made to expire."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._objects: dict[str, bytes] = {}
        self._lengths: dict[str, int] = {}
        self._permits: set[str] = set()

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self._objects[key] = data

    def get(self, key: str) -> bytes | None:
        """What is stored, None if nothing is."""
        return self._objects.get(key)

    def forget(self, prefix: str) -> None:
        """Delete all objects whose key begins so."""
        self._objects = {k: v for k, v in self._objects.items() if not k.startswith(prefix)}

    def presign(self, key: str, length: int | None = None) -> str:
        """A URL to read an object, or to write one of this length."""
        permit = uuid.uuid4().hex
        self._permits.add(permit)
        if length is not None:
            self._lengths[key] = length
        return f"{self._url}/storage/{key}?signature={permit}"

    def expire(self) -> None:
        """Let all URLs that were given out expire."""
        self._permits.clear()

    def answer(self, request: Request) -> Reply:
        """Answer a request for one of the URLs."""
        parts = urlsplit(request.url)
        key = parts.path.partition("/storage/")[2]
        if not self._permits.intersection(parse_qs(parts.query).get("signature", ())):
            return Reply(403, {"content-type": "text/plain"}, b"expired")
        if request.method in ("PUT", "POST"):
            body = request.body if isinstance(request.body, bytes) else b""
            if len(body) != self._lengths.get(key):
                return Reply(400, {"content-type": "text/plain"}, b"another length")
            self._objects[key] = body
            told = f'{{"success": true, "data": {{"url": "{self._url}/{key}", "key": "{key}"}}}}'
            return Reply(200, {"content-type": "application/json"}, told.encode())
        data = self._objects.get(key)
        return Reply(404) if data is None else _ranged(data, request.headers)


def _ranged(data: bytes, headers: Mapping[str, str]) -> Reply:
    digest = hashlib.sha256(data)
    tag = f'"{digest.hexdigest()[:16]}"'
    told = {
        "content-type": "audio/wav",
        "accept-ranges": "bytes",
        "etag": tag,
        "repr-digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
    }
    asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
    if not asked or headers.get("if-range", tag) != tag:
        return Reply(200, told, data)
    start = int(asked[1])
    if start >= len(data):
        return Reply(416, {"content-range": f"bytes */{len(data)}"})
    told["content-range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return Reply(206, told, data[start:])
