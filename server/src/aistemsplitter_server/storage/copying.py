"""Copying all objects from one storage to another, while a service uses one of them or both."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, Literal

from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Info, Missing, Storage

PREFIXES = (keys.UPLOADS, keys.FETCHED, keys.SPLITS, keys.CHECKPOINTS)
SECOND = timedelta(seconds=1)  # S3 says no more precisely when an object was stored
PIECE = 1 << 20  # bytes held in memory of each object
THREADS = 4  # objects copied at the same time
PAGE = 64  # objects that are waited for together
CHANGES = 3  # copies of an object that is replaced again and again


@dataclass(frozen=True, slots=True)
class Result:
    """The result of copying an object.

    Attributes:
        state: ``there`` if the target had it already, ``gone`` if the service has deleted it.
        size: Its length in bytes, if it was copied.
        problem: Why it could not be copied.
    """

    key: str
    state: Literal["copied", "there", "gone", "failed"]
    size: int = 0
    problem: str = ""


class Damaged(OSError):
    """The bytes of an object or its copy are not those that were stored."""


def count(source: Storage) -> int:
    """Return the number of objects."""
    return sum(1 for prefix in PREFIXES for _ in source.walk(prefix))


def copy_all(source: Storage, target: Storage, folder: Path, *, live: bool) -> Iterator[Result]:
    """Copy all objects, and yield what happened with each.

    Args:
        folder: An existing folder for temporary files.
        live: Whether a service stores its objects in the target already, so that of two objects
            that differ the newer one is right.
    """
    every = (key for prefix in PREFIXES for key in source.walk(prefix))
    with ThreadPoolExecutor(THREADS, "copy") as pool:
        while page := [*islice(every, PAGE)]:
            yield from pool.map(lambda key: _tried(source, target, key, folder, live), page)


def _tried(source: Storage, target: Storage, key: str, folder: Path, live: bool) -> Result:
    try:
        return copy(source, target, key, folder, live=live)
    except OSError as error:
        return Result(key, "failed", problem=error.strerror or str(error))


def copy(source: Storage, target: Storage, key: str, folder: Path, *, live: bool) -> Result:
    """Copy an object unless the target has it.

    A copy of an object that is deleted meanwhile is deleted, too.

    Raises:
        Damaged: The object, or its copy when read back, has another digest.
        OSError: A storage cannot be used.
    """
    is_copied = False
    try:
        for _ in range(CHANGES):
            before = source.info(key)
            if _is_there(source, target, key, before, live=live):
                return Result(key, "there")
            _transfer(source, target, key, before, folder)
            is_copied = True
            if source.info(key) == before:
                return Result(key, "copied", before.size)
    except Missing:
        if is_copied:
            target.delete_prefix(key)
        return Result(key, "gone")
    raise Damaged(0, "it is replaced again and again")


def _is_there(source: Storage, target: Storage, key: str, found: Info, *, live: bool) -> bool:
    try:
        other = target.info(key)
    except Missing:
        return False
    if live and other.modified + SECOND > found.modified:
        return True
    if other.size != found.size or other.sha256 is None:
        return False
    return other.sha256 == (found.sha256 or _digest(source, key))


def _transfer(source: Storage, target: Storage, key: str, found: Info, folder: Path) -> None:
    descriptor, name = mkstemp(dir=folder)
    draft = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file, source.open(key) as original:
            digest = _hashed(original, file)
            size = file.tell()
        if size != found.size or found.sha256 not in (None, digest):
            raise Damaged(0, "it is damaged: its bytes are not those that were stored")
        target.put_file(key, draft)
    finally:
        draft.unlink(missing_ok=True)
    try:
        arrived = _digest(target, key)
    except Missing:
        source.info(key)  # raises Missing if the service has deleted it meanwhile
        raise Damaged(0, "its copy is missing from the target") from None
    if arrived != digest:
        target.delete_prefix(key)
        raise Damaged(0, "its copy was damaged, and is deleted")


def _digest(storage: Storage, key: str) -> bytes:
    with storage.open(key) as file:
        return _hashed(file, None)


def _hashed(original: BinaryIO, to: BinaryIO | None) -> bytes:
    """Return the SHA-256 of what is left of a file, and copy that."""
    digest = hashlib.sha256()
    while piece := original.read(PIECE):
        digest.update(piece)
        if to is not None:
            to.write(piece)
    return digest.digest()
