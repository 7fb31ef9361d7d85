"""Two storages as one, while objects are moved from one to the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from aistemsplitter_server.storage.interface import (
    Claim,
    DirectUploads,
    Info,
    Missing,
    Partial,
    Storage,
)


@dataclass(frozen=True, slots=True)
class FallbackStorage:
    """A storage, and another one for the objects that it lacks.

    Objects are stored in the first only, and deleted from both.
    """

    first: Storage
    fallback: Storage

    def at(self, base_url: str) -> FallbackStorage:
        """See ``Storage``."""
        return FallbackStorage(self.first.at(base_url), self.fallback.at(base_url))

    def check(self, *, thorough: bool = False) -> None:
        """See ``Storage``."""
        self.first.check(thorough=thorough)
        self.fallback.check(thorough=thorough)

    def info(self, key: str) -> Info:
        """See ``Storage``."""
        try:
            return self.first.info(key)
        except Missing:
            return self.fallback.info(key)

    def open(self, key: str, span: range | None = None) -> BinaryIO:
        """See ``Storage``."""
        try:
            return self.first.open(key, span)
        except Missing:
            return self.fallback.open(key, span)

    def partial(self, key: str, token: str | None, claim: Claim) -> Partial:
        """See ``Storage``. An upload that began in the fallback begins again."""
        return self.first.partial(key, token, claim)

    def partials(self) -> Iterator[str]:
        """See ``Storage``."""
        return chain(self.first.partials(), self.fallback.partials())

    def delete_partial(self, key: str) -> None:
        """See ``Storage``."""
        self.fallback.delete_partial(key)
        self.first.delete_partial(key)

    def put_file(self, key: str, path: Path) -> None:
        """See ``Storage``."""
        self.first.put_file(key, path)

    def delete_prefix(self, prefix: str) -> None:
        """See ``Storage``.

        The fallback comes first: a copy that is made meanwhile is either deleted here, or by
        ``copying.copy``, which finds that its source has gone.
        """
        try:
            self.fallback.delete_prefix(prefix)
        finally:
            self.first.delete_prefix(prefix)

    def names(self, prefix: str) -> Iterator[str]:
        """See ``Storage``."""
        return chain(self.first.names(prefix), self.fallback.names(prefix))

    def walk(self, prefix: str) -> Iterator[str]:
        """See ``Storage``."""
        return chain(self.first.walk(prefix), self.fallback.walk(prefix))

    def tidy(self, before: datetime) -> None:
        """See ``Storage``."""
        self.first.tidy(before)
        self.fallback.tidy(before)

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """See ``Storage``."""
        with self._holder(key).local_path(key) as path:
            yield path

    def url(self, key: str, *, expires_in: timedelta, filename: str) -> str:
        """See ``Storage``."""
        return self.first.url(key, expires_in=expires_in, filename=filename)

    def direct_url(self, key: str, *, expires_in: timedelta, filename: str) -> str | None:
        """See ``Storage``."""
        return self._holder(key).direct_url(key, expires_in=expires_in, filename=filename)

    def direct(self) -> DirectUploads | None:
        """See ``Storage``."""
        return self.first.direct()

    def _holder(self, key: str) -> Storage:
        """Return the storage that has an object, the fallback if neither has."""
        try:
            self.first.info(key)
        except Missing:
            return self.fallback
        return self.first
