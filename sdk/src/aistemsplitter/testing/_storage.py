"""Storage of the fake service: objects under presigned URLs, with ranges and checksums."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
import uuid
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

from aistemsplitter._effects import Reply, Request
from aistemsplitter.testing._receiving import Reservation, file_of
from aistemsplitter.testing._wire import Rejected, success


def silence(seconds: float = 0.1) -> bytes:
    """Return a WAV file of silence: mono, 16 bits, 8 kHz."""
    data = bytes(2 * round(8000 * seconds))
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(data), b"WAVE", b"fmt ", 16, 1, 1,
                       8000, 16000, 2, 16, b"data", len(data))  # fmt: skip
    return head + data


class FakeStorage:
    """In-memory objects under presigned URLs that can be expired on demand."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._objects: dict[str, bytes] = {}
        self._reserved: dict[str, Reservation] = {}
        self._signatures: set[str] = set()

    def put(self, key: str, data: bytes) -> None:
        """Store an object."""
        self._objects[key] = data

    def get(self, key: str) -> bytes | None:
        """Return a stored object; None if there is none."""
        return self._objects.get(key)

    def delete(self, prefix: str) -> None:
        """Delete all objects whose keys begin with a prefix."""
        self._objects = {k: v for k, v in self._objects.items() if not k.startswith(prefix)}

    def presign(self, key: str, reservation: Reservation | None = None) -> str:
        """Return a URL that reads an object, or that writes the one that was reserved."""
        signature = uuid.uuid4().hex
        self._signatures.add(signature)
        if reservation is not None:
            self._reserved[key] = reservation
        return f"{self._url}/storage/{key}?signature={signature}"

    def expire(self) -> None:
        """Expire all presigned URLs."""
        self._signatures.clear()

    def answer(self, request: Request) -> Reply:
        """Answer a request for a presigned URL.

        Raises:
            Rejected: The URL has expired, or the upload is not the one that was reserved.
        """
        parts = urlsplit(request.url)
        key = parts.path.partition("/storage/")[2]
        if not self._signatures.intersection(parse_qs(parts.query).get("signature", ())):
            raise Rejected(403, "FORBIDDEN", "the URL is not valid or has expired")
        if request.method in ("PUT", "POST"):
            if key in self._objects:
                raise Rejected(409, "CONFLICT", "the file was uploaded already")
            self._objects[key] = file_of(request, self._reserved[key])
            return success({"url": f"{self._url}/storage/{key}", "key": f"uploads/{key}"})
        data = self._objects.get(key)
        return Reply(404) if data is None else _ranged(data, request.headers)


def _ranged(data: bytes, headers: Mapping[str, str]) -> Reply:
    digest = hashlib.sha256(data)
    tag = f'"{digest.hexdigest()[:16]}"'
    fields = {
        "content-type": "audio/wav",
        "accept-ranges": "bytes",
        "etag": tag,
        "repr-digest": f"sha-256=:{base64.b64encode(digest.digest()).decode()}:",
    }
    requested = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
    if not requested or headers.get("if-range", tag) != tag:
        return Reply(200, fields, data)
    start = int(requested[1])
    if start >= len(data):
        return Reply(416, {"content-range": f"bytes */{len(data)}"})
    fields["content-range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return Reply(206, fields, data[start:])
