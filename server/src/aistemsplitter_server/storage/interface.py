"""What every storage can do. Its methods block; the API calls them in threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol


class Missing(Exception):
    """There is no object under the key."""


class Storage(Protocol):
    """Objects under keys (see ``keys.py``); one is there whole or not at all.

    Every method raises ``keys.InvalidKey`` for what is no key, and ``OSError`` where the storage
    itself fails, with ``errno.ENOSPC`` when it is full.
    """

    def check(self) -> None:
        """Make sure that it takes files; ``OSError`` says why not."""

    def open(self, key: str) -> BinaryIO:
        """The object, open for reading; the caller closes it.

        Raises:
            Missing: there is none.
        """

    def size(self, key: str) -> int:
        """Its length in bytes.

        Raises:
            Missing: there is none.
        """

    def put_file(self, key: str, path: Path) -> None:
        """Store a file, durably and at once; one that lay there before is replaced.

        The file is taken over: afterwards it is gone from where it was. When this raises, the
        object is as it was before, and the file stays the caller's.
        """

    def delete_prefix(self, prefix: str) -> None:
        """Delete the object of this key and all below it; nothing there is no error.

        ``splits/a`` stands for itself and ``splits/a/...``, not for ``splits/ab``. What cannot be
        deleted does not keep the rest; then this raises ``OSError`` with the first such path.
        """

    def names(self, prefix: str) -> Iterator[str]:
        """Yield what is stored directly below a prefix: each name at least once, in any order."""

    def tidy(self, before: datetime) -> None:
        """Delete what writes that were interrupted before have left behind."""

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """The object as a file to be read, for as long as the context lasts.

        On local disk it is the object itself, elsewhere a copy: never write to it.

        Raises:
            Missing: there is none.
        """

    def url(self, key: str, *, expires_in: timedelta, filename: str) -> str:
        """A URL that anyone can GET without further credentials until it expires.

        Args:
            filename: what a browser saves it as.
        """
