"""Uploads of the fake service."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from aistemsplitter._effects import Reply
from aistemsplitter.testing._receiving import Reservation
from aistemsplitter.testing._storage import FakeStorage
from aistemsplitter.testing._wire import Rejected, success, timestamp


class FakeUploads:
    """Reserved and uploaded files, whose bytes are in the fake service's storage.

    Args:
        storage: Where the bytes of the uploads arrive.
        duration: Length of every song, in seconds.
    """

    def __init__(self, storage: FakeStorage, duration: int) -> None:
        self._storage = storage
        self._duration = duration
        self._made: dict[str, dict[str, Any]] = {}
        self._reserved: dict[str, tuple[Mapping[str, Any], str]] = {}  # by idempotency key

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def newest_first(self) -> Iterator[dict[str, Any]]:
        """Yield the JSON of each upload."""
        return map(self.json_of, reversed(self._made))

    def json_of(self, upload_id: str) -> dict[str, Any]:
        """Return the JSON of an upload.

        Raises:
            Rejected: There is no such upload.
        """
        if upload_id not in self._made:
            raise Rejected(404, "NOT_FOUND", "there is no such upload")
        uploaded = self._storage.get(upload_id) is not None
        measured = {"durationSeconds": float(self._duration), "sampleRate": 44100}
        return self._made[upload_id] | {"uploaded": uploaded} | (measured if uploaded else {})

    def reserve(self, body: Mapping[str, Any], key: str | None) -> Reply:
        """Reserve an upload, or return the one of an earlier request with the same key.

        Raises:
            Rejected: A field is missing, or the key was used with another body.
        """
        missing = [n for n in ("filename", "contentType", "contentLength") if not body.get(n)]
        if missing:
            raise Rejected(422, "VALIDATION_ERROR", f"missing: {', '.join(missing)}")
        upload_id = f"upl_{uuid.uuid4().hex}"
        if key:
            before, upload_id = self._reserved.setdefault(key, (body, upload_id))
            if before != body:
                raise Rejected(422, "IDEMPOTENCY_MISMATCH", "the key was used with another body")
        reservation = Reservation(str(body["contentType"]), int(body["contentLength"]))
        url = self._storage.presign(upload_id, reservation)
        headers = {"Content-Type": reservation.content_type}
        made = _upload_json(upload_id, str(body["filename"]), reservation, url.partition("?")[0])
        self._made[upload_id] = made
        return success(
            {
                "uploadId": upload_id,
                "uploadUrl": url,
                "uploadHeaders": headers,
                "expiresAt": made["expiresAt"],
                "direct": {"method": "PUT", "url": url, "headers": headers},
                "audioUrl": made["audioUrl"],
                "uploaded": self._storage.get(upload_id) is not None,
                "resumable": False,
            }
        )

    def filename_of(self, upload_id: str) -> str:
        """Return the name of a file whose bytes have arrived.

        Raises:
            Rejected: There is no such upload, or its bytes have not arrived.
        """
        upload = self.json_of(upload_id)
        if not upload["uploaded"]:
            raise Rejected(409, "CONFLICT", "the upload is not finished")
        return str(upload["filename"])

    def delete(self, upload_id: str) -> None:
        """Delete an upload and its bytes."""
        del self._made[upload_id]
        self._storage.delete(upload_id)


def _upload_json(
    upload_id: str, filename: str, reservation: Reservation, audio_url: str
) -> dict[str, Any]:
    """Return the JSON of an upload whose bytes have not arrived."""
    return {
        "uploadId": upload_id,
        "filename": filename,
        "contentType": reservation.content_type,
        "contentLength": reservation.length,
        "uploaded": False,
        "durationSeconds": None,
        "sampleRate": None,
        "error": None,
        "createdAt": timestamp(),
        "expiresAt": timestamp(3600),
        "audioUrl": audio_url,
    }
