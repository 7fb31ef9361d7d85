"""Objects as files in a folder of this machine.

Each folder on the path of an object is opened relative to the one above it and never through a
link, so neither a key nor a planted link leads outside. A file gets its final name only when it is
complete and synced to disk.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex
from tempfile import TemporaryFile
from typing import BinaryIO

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.files import open_regular, remove_tree
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.storage import digests, headers, keys, signing
from aistemsplitter_server.storage.interface import Claim, Info, Missing
from aistemsplitter_server.storage.local_partial import LocalPartial

STORED = "storage"  # folder of the objects, in the data folder
PARTIAL = "partial"  # beside it, so that it is on the same disk
COPY = 1 << 20  # bytes at a time
FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
NOTHING = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)  # the last two: links are not followed


class LocalStorage:
    """The storage on local disk; ``api/routes/storage.py`` serves its URLs."""

    def __init__(self, data: Path, secrets: Secrets, base_url: str) -> None:
        self._data = data
        self._root = data / STORED
        self._secrets = secrets
        self._base_url = base_url

    def at(self, base_url: str) -> LocalStorage:
        """See ``Storage``."""
        return LocalStorage(self._data, self._secrets, base_url)

    def check(self, *, thorough: bool = False) -> None:  # noqa: ARG002  # there is nothing else
        """See ``Storage``."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with TemporaryFile(dir=self._root, buffering=0) as file:
            file.write(b"1")  # fails on a full disk

    def info(self, key: str) -> Info:
        """See ``Storage``."""
        with self._object(key) as (name, folder), open_regular(name, folder) as file:
            digest = digests.known(file, name, folder)
            etag = headers.file_etag(file) if digest is None else headers.etag(digest)
            found = os.fstat(file.fileno())
            modified = datetime.fromtimestamp(found.st_mtime, UTC)
            return Info(found.st_size, etag, digest, modified)

    def open(self, key: str, span: range | None = None) -> BinaryIO:
        """See ``Storage``."""
        with self._object(key) as (name, folder):
            file = open_regular(name, folder)
        if span is not None:
            file.seek(span.start)
        return file

    def partial(self, key: str, token: str | None, claim: Claim) -> LocalPartial:  # noqa: ARG002
        """See ``Storage``. A lock on the file replaces tokens."""
        return LocalPartial(self._partial(key), lambda path: self.put_file(key, path))

    def partials(self) -> Iterator[str]:
        """See ``Storage``."""
        folder = self._data / PARTIAL
        if folder.is_dir():
            for name in sorted(each.name for each in folder.iterdir()):
                if not name.startswith("."):
                    yield keys.upload(name)

    def delete_partial(self, key: str) -> None:
        """See ``Storage``."""
        self._partial(key).unlink(missing_ok=True)

    def put_file(self, key: str, path: Path) -> None:
        """See ``Storage``."""
        *folders, name = keys.segments(key)
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._folder(folders, create=True) as folder, open_regular(path) as source:
            os.fsync(source.fileno())
            try:
                digests.note(source, name, folder)
                os.replace(path, name, dst_dir_fd=folder)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                _copy(source, name, folder)  # from another file system
                path.unlink()
            os.fsync(folder)

    def delete_prefix(self, prefix: str) -> None:
        """See ``Storage``."""
        *folders, name = keys.segments(prefix)
        try:
            with self._folder(folders) as folder:
                digests.forget(name, folder)
                if stat.S_ISDIR(os.lstat(name, dir_fd=folder).st_mode):
                    remove_tree(name, folder=folder)
                else:
                    os.unlink(name, dir_fd=folder)
        except OSError as error:
            if error.errno not in NOTHING:
                path = self._root.joinpath(*folders, error.filename or name)
                raise OSError(error.errno, error.strerror, str(path)) from None

    def names(self, prefix: str) -> Iterator[str]:
        """See ``Storage``."""
        try:
            with self._folder(keys.segments(prefix)) as folder, os.scandir(folder) as found:
                for entry in found:
                    # A digest without its object is listed as the object, and deleted by its key.
                    name = digests.noted_for(entry.name) or entry.name
                    if not name.startswith("."):
                        yield name
        except OSError as error:
            if error.errno not in NOTHING:
                raise

    def walk(self, prefix: str) -> Iterator[str]:
        """See ``Storage``."""
        try:
            with self._folder(keys.segments(prefix)) as folder:
                yield from _objects(folder, prefix)
        except OSError as error:
            if error.errno not in NOTHING:
                raise

    def tidy(self, before: datetime) -> None:
        """See ``Storage``."""
        failed: list[OSError] = []
        for draft in self._root.glob(f"*/.*{digests.DRAFT}"):
            try:
                if draft.lstat().st_mtime < before.timestamp():
                    draft.unlink()
            except FileNotFoundError:
                continue
            except OSError as error:
                failed.append(error)
        if failed:
            raise failed[0]

    @contextmanager
    def local_path(self, key: str) -> Iterator[Path]:
        """See ``Storage``."""
        self.open(key).close()
        yield self._root.joinpath(*keys.segments(key))

    def url(self, key: str, *, expires_in: timedelta, filename: str) -> str:
        """See ``Storage``."""
        keys.segments(key)
        return signing.sign(self._secrets, self._base_url, key, times.now() + expires_in, filename)

    def _partial(self, key: str) -> Path:
        return self._data / PARTIAL / keys.segments(key)[-1]

    def direct_url(self, key: str, *, expires_in: timedelta, filename: str) -> None:
        """See ``Storage``."""

    def direct(self) -> None:
        """See ``Storage``."""

    @contextmanager
    def _object(self, key: str) -> Iterator[tuple[str, int]]:
        """Yield the name of an object and a descriptor of its folder.

        Raises:
            Missing: There is no such object.
        """
        *folders, name = keys.segments(key)
        try:
            with self._folder(folders) as folder:
                yield name, folder
        except OSError as error:
            if error.errno in NOTHING:
                raise Missing(key) from None
            raise

    @contextmanager
    def _folder(self, names: Sequence[str], *, create: bool = False) -> Iterator[int]:
        """Yield a descriptor of the folder, opened without following links below the root."""
        folder = os.open(self._root, FOLDER & ~os.O_NOFOLLOW)
        try:
            for name in names:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=folder)
                        os.fsync(folder)
                inner = os.open(name, FOLDER, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder
        finally:
            os.close(folder)


def _objects(folder: int, prefix: str) -> Iterator[str]:
    """Yield the keys of the objects in a folder and below. Anything else is passed over."""
    with os.scandir(folder) as found:
        for entry in found:
            key = f"{prefix}/{entry.name}"
            if not keys.is_valid(key):
                continue
            if entry.is_file(follow_symlinks=False):
                yield key
            elif entry.is_dir(follow_symlinks=False):
                try:
                    inner = os.open(entry.name, FOLDER, dir_fd=folder)
                except OSError as error:
                    if error.errno in NOTHING:
                        continue  # it was deleted meanwhile
                    raise
                try:
                    yield from _objects(inner, key)
                finally:
                    os.close(inner)


def _copy(source: BinaryIO, name: str, folder: int) -> None:
    draft = f".{token_hex(8)}{digests.DRAFT}"
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    with os.fdopen(os.open(draft, flags, 0o600, dir_fd=folder), "w+b") as target:
        try:
            source.seek(0)
            shutil.copyfileobj(source, target, COPY)
            target.flush()
            os.fsync(target.fileno())
            digests.note(target, name, folder)
            os.replace(draft, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(draft, dir_fd=folder)
            raise
