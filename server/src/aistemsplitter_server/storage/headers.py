"""The response headers of objects."""

from __future__ import annotations

import os
import unicodedata
from base64 import b64encode
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

from aistemsplitter_server.kit import filenames

TYPES = {
    ".aac": "audio/aac",
    ".aif": "audio/aiff",
    ".aiff": "audio/aiff",
    ".flac": "audio/flac",
    ".m4a": "audio/mp4",
    ".mp3": "audio/mpeg",
    ".ogg": "audio/ogg",
    ".opus": "audio/ogg",
    ".wav": "audio/wav",
    ".webm": "audio/webm",
}


def content_type(key: str) -> str:
    """Return the type by the key's extension. Uploads have none and are not trusted."""
    return TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")


def content_disposition(filename: str) -> str:
    """Return a ``Content-Disposition`` that saves the object under this name (RFC 6266).

    Programs that do not read ``filename*``, such as ``curl -OJ``, get a name in ASCII that keeps
    the extension.
    """
    name = filenames.safe(filename)
    plain = _ascii(name)
    header = f'attachment; filename="{plain}"'
    return header if plain == name else f"{header}; filename*=UTF-8''{quote(name, safe='')}"


def etag(digest: bytes) -> str:
    """Return a strong ETag of the bytes with this digest."""
    return f'"{digest.hex()[:32]}"'


def file_etag(file: BinaryIO) -> str:
    """Return a strong ETag of a file whose digest is unknown."""
    found = os.fstat(file.fileno())
    return f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"'


def repr_digest(digest: bytes) -> str:
    """Return a ``Repr-Digest`` (RFC 9530), which is that of the whole object for a range too."""
    return f"sha-256=:{b64encode(digest).decode()}:"


def _ascii(name: str) -> str:
    """Return the name in ASCII, with ``audio`` where nothing is left of it."""
    extension = PurePosixPath(name).suffix
    start, extension = (
        unicodedata.normalize("NFKD", part).encode("ascii", "ignore").decode()
        for part in (name.removesuffix(extension), extension)
    )
    if not name.isascii():
        start = start.strip(" .-_")
    # Again, as decomposing a letter can give a quotation mark.
    return filenames.safe(f"{start or 'audio'}{extension}")
