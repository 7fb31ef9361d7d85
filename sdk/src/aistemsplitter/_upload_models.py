"""Typed results about uploads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from aistemsplitter._models import ErrorInfo, Serializable, raw_field


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectUpload(Serializable):
    """Presigned request that uploads the bytes straight to the storage."""

    url: str = field(repr=False)
    method: str = "PUT"
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    raw: Mapping[str, Any] = raw_field()

    def __hash__(self) -> int:
        return hash(self.url)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload(Serializable):
    """Permission to upload one file of the announced length to a presigned URL.

    Send the bytes with the request in ``direct``, or with PUT to ``upload_url`` with
    ``upload_headers``, and never send the API key with them. Then pass ``audio_url`` or ``input``
    to ``create_split``.

    Attributes:
        upload_id: Id of the upload.
        upload_url: Presigned URL for the bytes.
        upload_headers: Headers to send with the bytes.
        expires_at: Time at which the URL expires.
        direct: Method, URL and headers of the upload request; None if the server sent none.
        audio_url: URL of the uploaded audio, for ``create_split(audio_url=...)``.
        uploaded: True if an earlier call with the same idempotency key uploaded the bytes.
        parts_url: Presigned URL that returns where to send the parts of a large file; None if it
            must be sent as a whole.
        raw: JSON of the upload as the service sent it.
    """

    upload_id: str
    upload_url: str = field(repr=False)
    upload_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    expires_at: datetime | None = None
    direct: DirectUpload | None = None
    audio_url: str | None = field(default=None, repr=False)
    uploaded: bool = False
    parts_url: str | None = field(default=None, repr=False)
    raw: Mapping[str, Any] = raw_field()

    @property
    def input(self) -> dict[str, str]:
        """Value for ``create_split(input=...)`` after the bytes are uploaded."""
        return {"type": "uploaded_file", "uploadId": self.upload_id}

    def __hash__(self) -> int:
        return hash(self.upload_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadInfo(Serializable):
    """A reserved or uploaded file. Hashes by its id.

    Attributes:
        upload_id: Id of the upload.
        filename: Name of the file.
        content_type: Media type of the file.
        content_length: Length of the file in bytes.
        uploaded: True once all bytes have arrived.
        duration_seconds: Length of the audio in seconds; None until it is measured.
        sample_rate: Sample rate in Hz; None until the file is measured.
        error: Reason why the file cannot be split; None if it can.
        created_at: Time of the reservation.
        expires_at: Time at which the upload URL expires, or the uploaded file is deleted.
        audio_url: URL of the uploaded audio, for ``create_split(audio_url=...)``.
        raw: JSON of the upload as the service sent it.
    """

    upload_id: str
    filename: str | None = None
    content_type: str | None = None
    content_length: int | None = None
    uploaded: bool = False
    duration_seconds: float | None = None
    sample_rate: int | None = None
    error: ErrorInfo | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    audio_url: str | None = field(default=None, repr=False)
    raw: Mapping[str, Any] = raw_field()

    @property
    def input(self) -> dict[str, str]:
        """Value for ``create_split(input=...)`` once the bytes are uploaded."""
        return {"type": "uploaded_file", "uploadId": self.upload_id}

    def __hash__(self) -> int:
        return hash(self.upload_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletedUpload(Serializable):
    """Confirmation that an upload was deleted."""

    upload_id: str
    deleted: bool = True
    raw: Mapping[str, Any] = raw_field()


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadPageData(Serializable):
    """Uploads of one page, newest first, and the cursor of the next page."""

    items: tuple[UploadInfo, ...]
    next_cursor: str | None = field(default=None, metadata={"strict": True})
    raw: Mapping[str, Any] = raw_field()
