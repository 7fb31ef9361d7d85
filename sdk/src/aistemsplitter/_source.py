"""What can be uploaded, brought to one form: its length, and bytes that can be read again.

A path, bytes and a file that can be sought are read in place. Whatever else gives bytes is first
written to a temporary file, because the length is bound into the upload's permission.
"""

from __future__ import annotations

import hashlib
import io
import os
import stat
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeAlias, cast

from aistemsplitter._errors import FileChanged, FileError, InputError

#: A local path, the bytes, a file open for reading bytes, or anything that gives bytes piecewise.
Source: TypeAlias = str | os.PathLike[str] | bytes | IO[bytes] | Iterable[bytes]

CHUNK = 256 * 1024  # a trip to a worker thread each, so not small
IN_MEMORY = 4 * 2**20  # of what comes piecewise; the rest goes to disk

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
    """The media type that a file's name tells; ``application/octet-stream`` if it tells none."""
    return AUDIO_TYPES.get(Path(filename).suffix[1:].lower(), "application/octet-stream")


def digest(opened: Opened) -> str:
    """The SHA-256 of all its bytes, in hexadecimal; blocks."""
    found = hashlib.sha256()
    for chunk in opened.chunks():
        found.update(chunk)
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class Opened:
    """A source ready to be sent, as often as it takes.

    Attributes:
        chunks: reads it from its start; raises FileChanged before the last bytes are out if it is
            no longer what it was, so that no whole upload of a changed file comes about.
    """

    name: str
    length: int
    chunks: Callable[[], Iterator[bytes]]


def open_source(source: Source, filename: str | None, closing: ExitStack) -> Opened:
    """Open a source; blocks.

    Args:
        closing: is given what has to be closed, as soon as it is open.

    Raises:
        FileError: it is missing, a directory, or may not be read.
        InputError: it is nothing that gives bytes, or it is empty.
    """
    if isinstance(source, bytes):
        opened = _of_bytes(source, filename)
    elif isinstance(source, (str, os.PathLike)):
        opened = _of_path(Path(source), filename, closing)
    else:
        opened = _of_file(source, filename, closing)
    if opened.length == 0:
        raise InputError(f"{opened.name} is empty")
    return opened


def _of_bytes(data: bytes, filename: str | None) -> Opened:
    def chunks() -> Iterator[bytes]:
        for start in range(0, len(data), CHUNK):
            yield data[start : start + CHUNK]

    return Opened(filename or "audio", len(data), chunks)


def _of_path(path: Path, filename: str | None, closing: ExitStack) -> Opened:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            kind = "a directory" if path.is_dir() else "no regular file"
            raise FileError(f"{path} is {kind}")
        file = closing.enter_context(path.open("rb"))
    except OSError as problem:
        reason = problem.strerror or str(problem)
    except ValueError as problem:
        reason = str(problem)
    else:
        return _in_place(file, filename or path.name)
    raise FileError(f"cannot read {path}: {reason}")


def _of_file(
    source: IO[bytes] | Iterable[bytes], filename: str | None, closing: ExitStack
) -> Opened:
    if isinstance(source, io.TextIOBase):
        raise InputError('the file is open as text: open it with "rb"')
    own_name = getattr(source, "name", None)
    name = filename or (Path(own_name).name if isinstance(own_name, str) else "audio")
    seekable = getattr(source, "seekable", None)
    if callable(seekable) and seekable():
        return _in_place(cast("IO[bytes]", source), name)  # stays open: it is the caller's
    return _spooled(source, name, closing)


def _in_place(file: IO[bytes], name: str) -> Opened:
    start = file.tell()
    length = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    before = _state(file)

    def chunks() -> Iterator[bytes]:
        file.seek(start)
        left = length
        while left:
            chunk = file.read(min(CHUNK, left))
            left -= len(chunk)
            if not chunk or (not left and _state(file) != before):
                raise FileChanged(f"{name} changed while it was being uploaded")
            yield chunk

    return Opened(name, length, chunks)


def _state(file: IO[bytes]) -> object:
    """What changes when somebody writes to the file; None for one without a descriptor."""
    if isinstance(file, tempfile.SpooledTemporaryFile):
        return None  # nobody else's, and to ask would push it out to disk
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
        raise InputError(f"{type(source).__name__} gives no bytes")
    spool = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  # closed by the caller
    closing.callback(spool.close)
    for piece in pieces:
        if not isinstance(piece, (bytes, bytearray, memoryview)):
            raise InputError(f"the input gives {type(piece).__name__}, not bytes")
        spool.write(piece)
    spool.seek(0)
    return _in_place(spool, name)
