"""Uploads that clients send to the object storage themselves, past the API.

The client is given a presigned request. The service sees the bytes when it looks for them: before
a split uses the upload, and when the upload expires.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import DirectUploads, Missing, PutRequest, Storage
from aistemsplitter_server.uploads import service
from aistemsplitter_server.uploads.tables import Upload

# Larger files are sent in parts, so that a dropped connection costs one part at most.
LARGEST = 100_000_000  # bytes of a file that is sent as a whole
PARTS = 20  # for which URLs are given at a time


def possible(storage: Storage, length: int) -> DirectUploads | None:
    """Return how clients send a file of this length to the storage as a whole, if they may."""
    return storage.direct() if length <= LARGEST else None


def possible_in_parts(storage: Storage, length: int) -> DirectUploads | None:
    """Return how clients send a file of this length to the storage in parts, if they may."""
    return storage.direct() if length > LARGEST else None


def request(uploads: DirectUploads, upload: Upload, sha256: str | None) -> PutRequest:
    """Return the request that stores a direct upload.

    Args:
        sha256: The file's digest in hexadecimal, if the client knows it.
    """
    assert upload.direct_until is not None
    return uploads.put(
        keys.upload(upload.id),
        expires_in=max(upload.direct_until - times.now(), timedelta(seconds=1)),
        length=upload.content_length,
        content_type=upload.content_type,
        sha256=None if sha256 is None else bytes.fromhex(sha256),
    )


def has_arrived(storage: Storage, upload: Upload) -> bool:
    """Return whether the bytes of a direct upload are in the storage."""
    try:
        return storage.info(keys.upload(upload.id)).size == upload.content_length
    except Missing:
        return False


def confirm(database: Database, settings: Settings, storage: Storage, upload: Upload) -> None:
    """Mark a direct upload as stored if its bytes have arrived, and queue its measurement.

    Raises:
        Conflict: They have not.
        NotFound: The upload was deleted.
        OSError: The storage cannot be used now.
    """
    if upload.stored_at is None and not has_arrived(storage, upload):
        raise Conflict(service.not_arrived(upload))
    with database.write() as session:
        service.confirm(session, settings, upload.id)


def block(settings: Settings, storage: Storage, upload_id: str) -> None:
    """Replace the bytes of a direct upload by an empty object.

    If they were only deleted, its presigned URL could store them again, and they would not count
    towards what the account may store.

    Raises:
        OSError: The storage cannot be used now.
    """
    with TemporaryDirectory(dir=settings.data) as folder:
        empty = Path(folder, "empty")
        empty.touch()
        storage.put_file(keys.upload(upload_id), empty)


def settle(database: Database, settings: Settings, storage: Storage, upload_id: str) -> None:
    """Keep an expired direct upload if its bytes have arrived, and otherwise delete it.

    Raises:
        OSError: The storage cannot be used now.
    """
    with database.read() as session:
        upload = session.get_one(Upload, upload_id)
    arrived = has_arrived(storage, upload)
    try:
        with database.write() as session:
            if arrived:
                service.confirm(session, settings, upload_id)
            else:
                service.give_up(session, upload_id)
    except NotFound:
        return  # it was deleted meanwhile
