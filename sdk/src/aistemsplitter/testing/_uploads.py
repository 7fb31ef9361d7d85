"""JSON of the fake service's uploads."""

from __future__ import annotations

from typing import Any

from aistemsplitter.testing._receiving import Reservation
from aistemsplitter.testing._wire import timestamp


def upload_json(
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
