"""The headers that an object is served with."""

from __future__ import annotations

import os
import unicodedata
from base64 import b64encode
from pathlib import PurePosixPath
from typing import BinaryIO
from urllib.parse import quote

LONGEST_NAME = 150  # letters; file systems take 255 bytes
FORBIDDEN = set('/\\:*?"<>|%')
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
    """By the key's extension; an upload has none, and what is in it nobody vouches for."""
    return TYPES.get(PurePosixPath(key).suffix.lower(), "application/octet-stream")


def content_disposition(filename: str) -> str:
    """Save it under this name (RFC 6266), safe: no folder, no control character, not hidden."""
    visible = "".join(filter(_visible, filename))
    name = "".join("_" if letter in FORBIDDEN else letter for letter in visible).strip(" .")
    if len(name) > LONGEST_NAME:  # keep the extension
        extension = PurePosixPath(name).suffix[:16]
        name = name[: LONGEST_NAME - len(extension)] + extension
    name = name or "audio"
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().strip(" .")
    told = f'attachment; filename="{plain or "audio"}"'
    return told if plain == name else f"{told}; filename*=UTF-8''{quote(name, safe='')}"


def etag(file: BinaryIO, digest: bytes | None) -> str:
    """A strong validator: of the bytes where their digest is known, otherwise of the file."""
    if digest is not None:
        return f'"{digest.hex()[:32]}"'
    found = os.fstat(file.fileno())
    return f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"'


def repr_digest(digest: bytes) -> str:
    """``Repr-Digest`` (RFC 9530): of the whole, also where only a range is sent."""
    return f"sha-256=:{b64encode(digest).decode()}:"


def _visible(letter: str) -> bool:
    # Control, format (such as those that turn the direction of writing), lone surrogates.
    return not unicodedata.category(letter).startswith("C")
