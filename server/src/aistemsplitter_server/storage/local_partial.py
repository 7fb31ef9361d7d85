"""The file of an object that is being received on local disk."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.storage.interface import BUSY


class LocalPartial:
    """A partial file, open for one writer at a time among all processes.

    Args:
        put: Moves the whole file into the storage.

    Raises:
        Conflict: Another request is writing it.
    """

    def __init__(self, path: Path, put: Callable[[Path], None]) -> None:
        self._path = path
        self._put = put
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            raise Conflict(BUSY) from None

    @property
    def size(self) -> int:
        """See ``Partial``."""
        return os.fstat(self._file).st_size

    @property
    def token(self) -> None:
        """See ``Partial``."""

    def begin(self, offset: int) -> None:
        """See ``Partial``."""
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

    def store(self) -> None:
        """See ``Partial``."""
        self._put(self._path)

    def close(self) -> None:
        """See ``Partial``."""
        os.close(self._file)
