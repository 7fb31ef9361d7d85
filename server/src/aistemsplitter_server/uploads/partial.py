"""The partial file of an upload, until its bytes are whole."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from aistemsplitter_server.kit.errors import Conflict

FOLDER = "partial"  # in the data folder, so that it is on the storage's disk


class Partial:
    """A partial file, open for one writer at a time among all processes.

    Raises:
        Conflict: Another request is writing it.
    """

    def __init__(self, data: Path, upload_id: str) -> None:
        self.path = path(data, upload_id)
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise Conflict("Another request is uploading this file.") from None

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return os.fstat(self._file).st_size

    def begin(self, offset: int) -> None:
        """Truncate the file at the offset and continue there."""
        os.ftruncate(self._file, offset)
        os.lseek(self._file, offset, os.SEEK_SET)

    def write(self, piece: bytes) -> None:
        """Append bytes: all of the piece, or nothing if the disk is full."""
        before, rest = self.size, memoryview(piece)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
        except OSError:
            os.ftruncate(self._file, before)
            raise

    def close(self) -> None:
        """Close the file, so that another request can write it."""
        os.close(self._file)


def names(data: Path) -> list[str]:
    """Return the ids of the uploads that have a partial file."""
    folder = data / FOLDER
    return sorted(each.name for each in folder.iterdir()) if folder.is_dir() else []


def path(data: Path, upload_id: str) -> Path:
    """Return the path of an upload's partial file."""
    return data / FOLDER / upload_id
