"""Helpers that store objects."""

from __future__ import annotations

from pathlib import Path

from aistemsplitter_server.storage.interface import Storage

KEY = "splits/split_1/1/vocals.wav"
SONG = "uploads/upl_1"
BIG = bytes(range(256)) * (36 << 10)  # 9 MiB: more than one part of an upload to S3


def put(storage: Storage, folder: Path, content: bytes, key: str = KEY) -> None:
    """Store an object."""
    draft = folder / "draft"
    draft.write_bytes(content)
    storage.put_file(key, draft)
    assert not draft.exists()


def read(storage: Storage, key: str = KEY) -> bytes:
    """Return an object's bytes."""
    with storage.open(key) as file:
        return file.read()


def claim(_before: str | None, _token: str) -> None:
    """Allow an upload."""
