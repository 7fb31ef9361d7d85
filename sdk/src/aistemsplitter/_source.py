"""Sources of uploads in one form: a length, and bytes that can be read again for a retry.

Paths, bytes and seekable files are read in place. Other sources are first written to a temporary
file, because the presigned URL is bound to the length.
"""

from __future__ import annotations

import hashlib
import inspect
import io
import os
import stat
import tempfile
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, Protocol, TypeAlias, cast

from aistemsplitter._effects import Await, Operation, blocking
from aistemsplitter._errors import FileChanged, FileError, InputError


class HasFile(Protocol):
    """Uploaded file of a web framework that wraps a file, such as Starlette's ``UploadFile``."""

    @property
    def file(self) -> IO[bytes]:
        """The wrapped file."""
        ...

    @property
    def filename(self) -> str | None:
        """File name that the browser sent."""
        ...


#: Local path, bytes, file opened in binary mode, uploaded file of a web framework, or iterable of
#: bytes; with the asynchronous client also an async file or async iterable.
Source: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | IO[bytes]
    | HasFile
    | Iterable[bytes]
    | AsyncIterable[bytes]
)

CHUNK = 256 * 1024  # bytes; not small, because each chunk is read in a worker thread
IN_MEMORY = 4 * 2**20  # bytes; larger temporary files are written to disk
NOT_BYTES = 'pass a path, bytes, a file opened with "rb", or an iterable of bytes'

AUDIO_TYPES = {
    "aac": "audio/aac",
    "aif": "audio/aiff",
    "aiff": "audio/aiff",
    "flac": "audio/flac",
    "m4a": "audio/mp4",
    "mka": "audio/x-matroska",
    "mp3": "audio/mpeg",
    "mp4": "video/mp4",
    "oga": "audio/ogg",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
    "wav": "audio/wav",
    "webm": "audio/webm",
    "wma": "audio/x-ms-wma",
}


def content_type_of(filename: str) -> str:
    """Return a file's media type by its extension; ``application/octet-stream`` if unknown."""
    return AUDIO_TYPES.get(Path(filename).suffix[1:].lower(), "application/octet-stream")


def digest(opened: Opened) -> str:
    """Return the SHA-256 of a source in hexadecimal. Blocks."""
    found = hashlib.sha256()
    for chunk in opened.chunks(0, opened.length):
        found.update(chunk)
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Opened:
    """An open source that can be sent several times.

    Attributes:
        name: File name of the upload.
        length: Length in bytes.
        chunks: Function that reads the bytes between two positions. It raises FileChanged before
            the last of them if the file has changed, so that an upload of a changed file never
            completes.
    """

    name: str
    length: int
    chunks: Callable[[int, int], Iterator[bytes]]


def open_source(source: Source, filename: str | None, closing: ExitStack) -> Opened:
    """Open a source. Blocks.

    Args:
        source: Audio to upload.
        filename: File name of the upload; None for that of the source.
        closing: Stack that closes the opened files.

    Raises:
        FileError: The file is missing, is a directory, or cannot be read.
        InputError: The source is empty, or does not contain bytes.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        opened = _of_bytes(memoryview(source), filename)
    elif isinstance(source, (str, os.PathLike)):
        opened = _of_path(Path(source), filename, closing)
    else:
        opened = _of_file(source, filename, closing)
    if opened.length == 0:
        raise InputError(f"{opened.name}: the file is empty")
    return opened


def spool_async(source: Source, closing: ExitStack) -> Operation[Source]:
    """Copy an async file or iterable to a temporary file; return other sources as they are."""
    next_chunk = _async_reader(source)
    if next_chunk is None:
        return source
    spool = _Named(IN_MEMORY)
    spool.filename = _name_of(source)
    closing.callback(spool.close)
    while chunk := (yield Await(next_chunk, "input=")):
        yield from blocking(partial(spool.write, _checked(chunk)))
    spool.seek(0)
    return cast("IO[bytes]", spool)


class _Named(tempfile.SpooledTemporaryFile[bytes]):
    """A temporary file with the name of the source that was copied into it."""

    filename: str | None = None


def _async_reader(source: Any) -> Callable[[], Awaitable[bytes]] | None:
    """Return a function that reads the next bytes; None if the source is not asynchronous."""
    if inspect.iscoroutinefunction(getattr(source, "read", None)):
        if _wrapped_file(source) is not None:
            return None  # the wrapped file can be read directly, several times
        return cast("Callable[[], Awaitable[bytes]]", partial(source.read, CHUNK))
    if not isinstance(source, AsyncIterable):
        return None
    chunks = aiter(source)
    return lambda: anext(chunks, b"")


def _wrapped_file(source: object) -> IO[bytes] | None:
    file = getattr(source, "file", None)
    plain = callable(getattr(file, "read", None)) and callable(getattr(file, "seek", None))
    return cast("IO[bytes]", file) if plain else None


def _name_of(source: object) -> str | None:
    """Return the file name of a source without folders; None if it has none."""
    for attribute in ("filename", "name"):
        name = getattr(source, attribute, None)
        if isinstance(name, str) and name:
            return Path(name).name
    return None


def _of_bytes(data: memoryview, filename: str | None) -> Opened:
    data = data.cast("B") if data.c_contiguous else memoryview(bytes(data))

    def chunks(begin: int, end: int) -> Iterator[bytes]:
        for start in range(begin, end, CHUNK):
            yield bytes(data[start : min(start + CHUNK, end)])

    return Opened(filename or "audio", len(data), chunks)


def _of_path(path: Path, filename: str | None, closing: ExitStack) -> Opened:
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
        file = closing.enter_context(path.open("rb")) if regular else None
    except OSError as problem:
        reason = problem.strerror or str(problem)
        message = f"{path}: cannot be read: {reason}"
        raise FileError(message, path=path, cause=problem) from problem
    except ValueError as problem:  # a null character
        raise FileError(f"{path}: cannot be read: {problem}", path=path) from problem
    if file is None:
        kind = "a directory" if path.is_dir() else "not a regular file"
        raise FileError(f"{path}: is {kind}. Pass the path of an audio file", path=path)
    return _in_place(file, filename or path.name)


def _of_file(source: object, filename: str | None, closing: ExitStack) -> Opened:
    if isinstance(source, io.TextIOBase):
        raise InputError('input= is a file opened in text mode: open it with "rb"')
    name = filename or _name_of(source) or "audio"
    if inspect.iscoroutinefunction(getattr(source, "read", None)):
        source = _wrapped_file(source)
    seekable = getattr(source, "seekable", None)
    if callable(seekable) and seekable():
        return _in_place(cast("IO[bytes]", source), name)  # not closed: it belongs to the caller
    return _spooled(source, name, closing)


def _in_place(file: IO[bytes], name: str) -> Opened:
    start = file.tell()
    length = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    before = _state(file)

    def chunks(begin: int, end: int) -> Iterator[bytes]:
        file.seek(start + begin)
        left = end - begin
        while left:
            chunk = file.read(min(CHUNK, left))
            left -= len(chunk)
            if not chunk or (not left and _state(file) != before):
                raise FileChanged(f"{name}: the file changed during its upload. Try again")
            yield chunk

    return Opened(name, length, chunks)


def _state(file: IO[bytes]) -> object:
    """Return the file's size and modification time; None for a file without a descriptor."""
    if isinstance(file, tempfile.SpooledTemporaryFile):
        return None  # fileno() would move it from memory to disk
    try:
        found = os.fstat(file.fileno())
    except (OSError, ValueError, AttributeError):
        return None
    return found.st_size, found.st_mtime_ns


def _spooled(source: object, name: str, closing: ExitStack) -> Opened:
    pieces: Iterable[object]
    if callable(reading := getattr(source, "read", None)):
        pieces = iter(lambda: reading(CHUNK), b"")
    elif isinstance(source, Iterable):
        pieces = source
    else:
        raise InputError(f"input= has the type {type(source).__name__}: {NOT_BYTES}")
    spool = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # closed by the caller
    closing.callback(spool.close)
    for piece in pieces:
        spool.write(_checked(piece))
    spool.seek(0)
    return _in_place(spool, name)


def _checked(piece: object) -> bytes | bytearray | memoryview:
    if isinstance(piece, (bytes, bytearray, memoryview)):
        return piece
    raise InputError(f"input= yields {type(piece).__name__} instead of bytes: {NOT_BYTES}")
