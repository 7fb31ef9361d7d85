"""Reserving uploads, for callers of the API and for people on the pages."""

from __future__ import annotations

from aistemsplitter_server import measuring
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads import addresses, service
from aistemsplitter_server.uploads import direct as directly
from aistemsplitter_server.uploads.schemas import DirectUpload, Reservation, ReserveUpload
from aistemsplitter_server.uploads.service import StoredBytes


def reserve(
    database: Database,
    settings: Settings,
    secrets: Secrets,
    caller: Caller,
    request: ReserveUpload,
    *,
    storage: Storage,
    base_url: str,
    stored_bytes: StoredBytes,
    key: str | None = None,
    direct: bool = False,
    sha256: str | None = None,
) -> Reservation:
    """Reserve an upload, and prepare to measure the song that will arrive.

    Args:
        storage: Where the bytes go in the end.
        base_url: What the service's URLs begin with, for this caller.
        stored_bytes: See :func:`service.reserve`.
        key: The request's idempotency key.
        direct: Whether the client can send the bytes to the storage itself.
        sha256: The file's digest in hexadecimal, if the client knows it.

    Raises:
        ApiError: See :func:`service.reserve`.
    """
    past_us = directly.possible(storage, request.content_length) if direct else None
    with database.write() as session:
        upload = service.reserve(
            session,
            settings,
            caller,
            request,
            stored_bytes=stored_bytes,
            key=key,
            direct=past_us is not None,
        )
    measuring.warm()
    if upload.direct_until is None or past_us is None:
        url = addresses.to_write(secrets, base_url, upload)
        headers = {"Content-Type": upload.content_type}
        until, resumable = upload.expires_at, True
    else:
        put = directly.request(past_us, upload, sha256)
        url, headers, until, resumable = put.url, put.headers, upload.direct_until, False
    in_parts = None
    if direct and upload.direct_until is None and upload.stored_at is None:
        in_parts = directly.possible_in_parts(storage, upload.content_length)
    return Reservation(
        upload_id=upload.id,
        upload_url=url,
        upload_headers=headers,
        expires_at=times.to_wire(until),
        direct=DirectUpload(url=url, headers=headers),
        audio_url=addresses.to_read(base_url, upload.id),
        uploaded=upload.stored_at is not None,
        resumable=resumable,
        parts_url=addresses.of_parts(secrets, base_url, upload) if in_parts else None,
    )
