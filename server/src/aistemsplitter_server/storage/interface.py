"""The interface of a storage. Its methods block, so the API calls them in threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Protocol

BUSY = "Another request is uploading this file."


class Missing(Exception):
    """There is no object under the key."""


class StorageFailed(OSError):
    """The storage cannot be used now, or not as it is set up. The text is one line.

    Attributes:
        todo: The way out.
    """

    def __init__(self, number: int, problem: str, todo: str) -> None:
        super().__init__(number, problem)
        self.todo = todo

    def __str__(self) -> str:
        return f"the storage failed: {self.strerror}; {self.todo}"


# Records that an object is received under a new token, in place of the one before. Raises
# ``ApiError`` if another request got ahead.
Claim = Callable[[str | None, str], None]


@dataclass(frozen=True, slots=True)
class Info:
    """What is known of an object without reading it.

    Attributes:
        size: Its length in bytes.
        etag: A strong ETag, in quotation marks.
        sha256: Its digest, if that is known.
        modified: When it was stored, by the storage's clock.
    """

    size: int
    etag: str
    sha256: bytes | None
    modified: datetime


@dataclass(frozen=True, slots=True)
class PutRequest:
    """A presigned request that stores an object by PUT, past this service.

    Attributes:
        url: Contains the permission. Never log it.
        headers: To be sent exactly so, since they are signed.
    """

    url: str = field(repr=False)
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class PartRequest:
    """A presigned PUT that stores a part of an object, past this service. It needs no headers.

    Attributes:
        start: Where the part begins in the object.
        length: Its length in bytes; the storage refuses another.
        url: Contains the permission. Never log it.
    """

    start: int
    length: int
    url: str = field(repr=False)


class Partial(Protocol):
    """An object that is being received, in order and over any number of requests."""

    @property
    def size(self) -> int:
        """Bytes received so far."""

    @property
    def token(self) -> str | None:
        """The last token that was claimed for it, if any."""

    def begin(self, offset: int) -> None:
        """Continue at this offset, at most ``size``; bytes received after it are dropped.

        A storage that cannot cut there drops everything: check ``size`` afterwards.
        """

    def write(self, piece: bytes) -> None:
        """Append bytes."""

    def store(self) -> None:
        """Make what was received the object of the key.

        Raises:
            FileNotFoundError: It was deleted meanwhile.
            Conflict: Another request has written it meanwhile.
        """

    def close(self) -> None:
        """Keep what was received, so that another request can continue."""


class DirectParts(Protocol):
    """An object that clients store in parts past this service, in any order."""

    @property
    def token(self) -> str | None:
        """The last token that was claimed for it."""

    @property
    def missing(self) -> Sequence[range]:
        """The parts that have not arrived, as spans of the object."""

    def request(self, span: range, expires_in: timedelta) -> PartRequest:
        """Return the request that stores one of the missing parts.

        Args:
            expires_in: Time in which the request can begin.
        """

    def store(self) -> None:
        """Make the parts the object of the key, once none is missing.

        Raises:
            FileNotFoundError: They were deleted or replaced meanwhile.
        """


class DirectUploads(Protocol):
    """Requests by which clients store objects past this service."""

    def origin(self) -> str:
        """Return the origin of the URLs, such as ``https://s3.example.com``."""

    def put(
        self,
        key: str,
        *,
        expires_in: timedelta,
        length: int,
        content_type: str,
        sha256: bytes | None,
    ) -> PutRequest:
        """Return a request that stores an object, unless there is one under the key.

        Args:
            expires_in: Time in which the request can begin.
            length: Length of the object in bytes; the storage refuses another.
            content_type: Type of the object; the storage refuses another.
            sha256: Digest of the object, if the client knows it; the storage refuses another.
        """

    def parts(self, key: str, token: str | None, claim: Claim, length: int) -> DirectParts:
        """Return what has arrived of an object that clients store in parts.

        Args:
            token: The last token that was claimed for this key.
            claim: Called if a new token is necessary.
            length: Length of the object in bytes.

        Raises:
            Conflict: Another request began at the same time.
        """


class Storage(Protocol):
    """Objects under keys (see ``keys.py``). An object exists as a whole or not at all.

    Every method raises ``keys.InvalidKey`` for an invalid key, and ``OSError`` if the storage
    fails, with ``errno.ENOSPC`` when it is full.
    """

    def at(self, base_url: str) -> Storage:
        """Return the same storage, whose URLs begin with this base."""

    def check(self, *, thorough: bool = False) -> None:
        """Check that files can be stored; raise ``OSError`` if not.

        Args:
            thorough: Whether to try everything else that the service does, too.
        """

    def info(self, key: str) -> Info:
        """Return the length of an object, and what identifies its bytes.

        Raises:
            Missing: There is no such object.
        """

    def open(self, key: str, span: range | None = None) -> BinaryIO:
        """Return the object, open for reading forward. The caller closes it.

        Args:
            span: The bytes to read, which lie within the object. The file starts at the first;
                read no more than these.

        Raises:
            Missing: There is no such object.
        """

    def partial(self, key: str, token: str | None, claim: Claim) -> Partial:
        """Return what was received of the object of this key. The caller closes it.

        Args:
            token: The last token that was claimed for this key.
            claim: Called before the first byte, by a storage that needs tokens.

        Raises:
            Conflict: Another request is writing it.
        """

    def partials(self) -> Iterator[str]:
        """Yield the keys of objects that are being received."""

    def delete_partial(self, key: str) -> None:
        """Delete what was received of the object of this key, if anything."""

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

    def walk(self, prefix: str) -> Iterator[str]:
        """Yield the keys of all objects below a prefix, each at least once, in any order."""

    def tidy(self, before: datetime) -> None:
        """Delete what interrupted writes before that time have left behind."""

    def local_path(self, key: str) -> AbstractContextManager[Path]:
        """Return the object as a file to read, while the context lasts.

        On local disk it is the object itself, elsewhere a copy. Never write to it.

        Raises:
            Missing: There is no such object.
        """

    def url(self, key: str, *, expires_in: timedelta, filename: str) -> str:
        """Return a URL of this service that anyone can GET without credentials until it expires.

        Args:
            filename: The name under which browsers save it.
        """

    def direct_url(self, key: str, *, expires_in: timedelta, filename: str) -> str | None:
        """Return such a URL that leads past this service; None if the service sends the bytes."""

    def direct(self) -> DirectUploads | None:
        """Return how clients store objects themselves; None if they must send them to this service.

        It may be None for a while when the storage cannot be used.
        """
