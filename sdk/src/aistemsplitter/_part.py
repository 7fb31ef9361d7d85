"""Partial files of downloads: hidden, locked while in use, and resumed by later runs."""

from __future__ import annotations

import filecmp
import hashlib
import os
import sys
import uuid
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from aistemsplitter._digests import CHUNK, Announced

LOCKED_BYTE = 2**40  # beyond the end of any file: on Windows, others cannot read a locked byte


class Part:
    """The partial file of one stem, and what is known about the complete file.

    A file left by an earlier run is resumed. All methods block.

    Attributes:
        written: Number of bytes in the file.
        inherited: True while the file contains bytes of an earlier run.
        total: Length of the complete file in bytes; None while unknown.
        validator: ETag or modification time for ``If-Range``; None while unknown.
        announced: Checksum of the complete file; None if none was announced.
    """

    def __init__(self, folder: Path, split_id: str, stem: str) -> None:
        key = hashlib.sha256(f"{split_id}\0{stem}".encode()).hexdigest()[:24]
        self.path = folder / f".{key}.part"
        self.written = 0
        self.inherited = False
        self.total: int | None = None
        self.validator: str | None = None
        self.announced: Announced | None = None
        self._hash: Any = None
        self._file: IO[bytes] | None = None
        self._temporary = False

    def open(self) -> None:
        """Open the file left by an earlier run, or create it.

        If another download is writing to it, a separate file is used, which no later run resumes.
        """
        self._file = _open_locked(self.path)
        if self._file is None:
            self._temporary = True
            self.path = self.path.with_name(f"{self.path.stem}-{uuid.uuid4().hex}.part")
            self._file = self.path.open("x+b", buffering=0)
        # The last byte is requested again: a range beyond the end of a complete file is refused.
        self.written = max(0, os.fstat(self._file.fileno()).st_size - 1)
        self.inherited = self.written > 0
        self._truncate()

    def expect(self, announced: Announced | None) -> None:
        """Set the expected checksum and hash the bytes written so far."""
        self.announced = announced
        self._hash = announced.new() if announced else None
        if self._hash and self.written:
            file = self._opened()
            file.seek(0)
            while chunk := file.read(CHUNK):
                self._hash.update(chunk)

    def append(self, batch: bytes) -> None:
        """Append bytes."""
        view, file = memoryview(batch), self._opened()
        while view:  # an unbuffered write may be partial
            view = view[file.write(view) :]
        if self._hash:
            self._hash.update(batch)
        self.written += len(batch)

    @property
    def intact(self) -> bool:
        """True if the checksum matches the announced one, or none was announced."""
        return self.announced is None or bool(self._hash.digest() == self.announced.digest)

    def start_over(self) -> None:
        """Empty the file and forget what is known about the complete file."""
        self.written, self.inherited = 0, False
        self.total, self.validator = None, None
        self.expect(None)
        self._truncate()

    def publish(self, target: Path, *, overwrite: bool) -> None:
        """Rename the complete file to its final name.

        Raises:
            FileExistsError: Another file with that name has appeared.
        """
        # Some network file systems report a full disk only when a descriptor is closed.
        os.close(os.dup(self._opened().fileno()))
        if not overwrite and os.path.lexists(target) and not _same_content(self.path, target):
            raise FileExistsError
        if sys.platform == "win32":  # Windows cannot rename an open file
            self._opened().close()
        self.path.replace(target)
        self._opened().close()
        self._file = None

    def close(self, *, keep: bool) -> None:
        """Close the file, unless it was published.

        Args:
            keep: True to leave a file that is not empty for a later run.
        """
        file, self._file = self._file, None
        if file is None:
            return
        remove = self._temporary or not keep or not self.written
        if sys.platform == "win32":
            file.close()
        if remove:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)
        file.close()  # after the removal, so that no other download can lock the file in between

    def _opened(self) -> IO[bytes]:
        assert self._file is not None
        return self._file

    def _truncate(self) -> None:
        file = self._opened()
        file.seek(self.written)
        file.truncate()


def _open_locked(path: Path) -> IO[bytes] | None:
    """Open or create a file and lock it; return None if another download has locked it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
    file = os.fdopen(os.open(path, flags, 0o666), "r+b", buffering=0)
    try:
        _lock(file.fileno())
        # The previous holder of the lock may have renamed or removed the file.
        if os.path.samestat(os.fstat(file.fileno()), path.stat()):
            return file
    except OSError:
        pass
    file.close()
    return None


def _lock(descriptor: int) -> None:
    """Lock a file until it is closed.

    Raises:
        OSError: The file is locked already, or its file system has no locks.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, LOCKED_BYTE, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _same_content(first: Path, second: Path) -> bool:
    return second.is_file() and filecmp.cmp(first, second, shallow=False)
