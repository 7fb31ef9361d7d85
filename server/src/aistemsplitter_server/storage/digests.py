"""The SHA-256 of an object, kept in a hidden file beside it.

The hidden file names the inode, length and modification time of its object. So one that is left
behind, truncated or outdated is never taken for the digest of another file.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from secrets import token_hex
from typing import BinaryIO

PIECE = 1 << 20  # bytes
MOST = 256  # bytes; a hidden file is shorter
DRAFT = ".draft"  # suffix of a file that is being written
SUFFIX = ".sha256"
WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


def note(file: BinaryIO, name: str, folder: int) -> None:
    """Compute a file's digest and write it for the name that the file is about to get."""
    digest = of(file)
    draft = f".{token_hex(8)}{DRAFT}"
    try:
        with os.fdopen(os.open(draft, WRITE, 0o600, dir_fd=folder), "w") as target:
            target.write(f"{_identity(file)} {digest.hex()}")
        os.replace(draft, _beside(name), src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(draft, dir_fd=folder)
        raise


def of(file: BinaryIO) -> bytes:
    """Compute the digest of a file."""
    file.seek(0)
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.digest()


def known(file: BinaryIO, name: str, folder: int) -> bytes | None:
    """Return the digest of this file, if it is known."""
    try:
        descriptor = os.open(
            _beside(name), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder
        )
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as noted:
        identity, _, digest = noted.read(MOST).decode("ascii", "replace").rpartition(" ")
    if identity != _identity(file):
        return None
    try:
        return bytes.fromhex(digest)
    except ValueError:
        return None


def forget(name: str, folder: int) -> None:
    """Delete the digest."""
    with suppress(FileNotFoundError):
        os.unlink(_beside(name), dir_fd=folder)


def noted_for(hidden: str) -> str | None:
    """Return the name of the object whose digest a hidden file holds, if it holds one."""
    if not (hidden.startswith(".") and hidden.endswith(SUFFIX)):
        return None
    return hidden[1 : -len(SUFFIX)] or None


def _identity(file: BinaryIO) -> str:
    found = os.fstat(file.fileno())
    return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


def _beside(name: str) -> str:
    return f".{name}{SUFFIX}"
