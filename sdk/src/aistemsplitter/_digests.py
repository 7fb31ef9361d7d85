"""Checksums: those announced in a storage's response headers, and those of local files."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK = 2**20  # bytes read at a time

ALGORITHMS = {"sha-256": "sha256", "sha-512": "sha512", "md5": "md5"}


@dataclass(frozen=True, slots=True)
class Announced:
    """The announced checksum of a whole file."""

    algorithm: str
    digest: bytes = field(repr=False)

    def new(self) -> Any:
        """Return a new hash object of the checksum's algorithm."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def announced(headers: Mapping[str, str], *, whole: bool) -> Announced | None:
    """Return the strongest checksum of the whole file in the headers; None without one.

    Reads Repr-Digest (RFC 9530), Digest, and the headers of S3 and Google Cloud Storage.
    Content-MD5 and Content-Digest cover only the bytes of the response, so they count only if
    those are the whole file.

    Args:
        whole: True if the response contains the whole file.
    """
    found: dict[str, bytes] = {}
    pairs = [(headers.get("repr-digest", ""), r"([\w-]+)=:([^:]*):")]
    pairs.append((headers.get("digest", ""), r"([\w-]+)=([\w+/]+=*)"))
    pairs.append((headers.get("x-goog-hash", ""), r"(md5)=([\w+/]+=*)"))
    pairs.append((f"sha-256={headers.get('x-amz-checksum-sha256', '')}", r"(.*?)=([\w+/]+=*)$"))
    if whole:
        pairs.append((headers.get("content-digest", ""), r"([\w-]+)=:([^:]*):"))
        pairs.append((f"md5={headers.get('content-md5', '')}", r"(md5)=([\w+/]+=*)"))
    for value, pattern in pairs:
        for name, text in re.findall(pattern, value):
            algorithm = ALGORITHMS.get(name.lower())
            digest = _decoded(text)
            # A different length means it is not the file's own, such as S3's multipart checksum.
            if algorithm and digest and len(digest) == hashlib.new(algorithm).digest_size:
                found.setdefault(algorithm, digest)
    for algorithm in ("sha256", "sha512", "md5"):
        if algorithm in found:
            return Announced(algorithm, found[algorithm])
    return None


def of_file(path: Path, algorithm: str) -> bytes:
    """Return the checksum of a file. Blocks."""
    found = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            found.update(chunk)
    return found.digest()


def _decoded(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
