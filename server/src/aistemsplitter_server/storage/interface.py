"""The interface of a storage. Its methods block, so the API calls them in threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol


class Missing(Exception):
    """There is no object under the key."""


class Storage(Protocol):
    """Objects under keys (see ``keys.py``). An object exists as a whole or not at all.

    Every method raises ``keys.InvalidKey`` for an invalid key, and ``OSError`` if the storage
    fails, with ``errno.ENOSPC`` when it is full.
    """

    def check(self) -> None:
        """Check that files can be stored; raise ``OSError`` if not."""

    def open(self, key: str) -> BinaryIO:
        """Return the object, open for reading. The caller closes it.

        Raises:
            Missing: There is no such object.
        """

    def size(self, key: str) -> int:
        """Return the object's length in bytes.

        Raises:
            Missing: There is no such object.
        """

    def put_file(self, key: str, path: Path) -> None:
        """Store a file durably and atomically, replacing an object of the same key.

        The file is moved: afterwards it no longer exists at its path. If this raises, the object is
        unchanged and the file stays where it was.
        """

    def delete_prefix(self, prefix: str) -> None:
        """Delete the object of this key and all below it. It is no error if there are none.

        ``splits/a`` means itself and ``splits/a/...``, not ``splits/ab``. If something cannot be
        deleted, the rest is deleted all the same, and ``OSError`` is raised for the first such
        path.
        """

    def names(self, prefix: str) -> Iterator[str]:
        """Yield the names directly below a prefix, each at least once, in any order."""

    def tidy(self, before: datetime) -> None:
        """Delete what interrupted writes before that time have left behind."""

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """Return the object as a file to read, while the context lasts.

        On local disk it is the object itself, elsewhere a copy. Never write to it.

        Raises:
            Missing: There is no such object.
        """

    def url(self, key: str, *, expires_in: timedelta, filename: str) -> str:
        """Return a URL that anyone can GET without credentials until it expires.

        Args:
            filename: The name under which browsers save it.
        """
