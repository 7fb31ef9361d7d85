"""ID3 tags in front of containers that have no place for them.

Some programs tag a WAV or an MP4 like an MP3. FFmpeg recognises the container after the tag, but
fails to read it. Such files are read from the end of the tag on.
"""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

from aistemsplitter_engine.audio.peek import peek

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

# FFmpeg itself skips the tag in front of MP3, AAC, FLAC and Ogg, and reads it.
_MAGICS = (b"RIFF", b"RF64", b"riff", b"FORM", b"caff", b"\x1a\x45\xdf\xa3", b"\x30\x26\xb2\x75")
_MAX_TAGS = 8


def tags_end(file: BinaryIO) -> int:
    """Return the position in bytes after the ID3v2 tags at the start of a file."""
    at = 0
    for _ in range(_MAX_TAGS):
        head = peek(file, at, 10)
        if len(head) < 10 or head[:3] != b"ID3":
            break
        size = head[6] << 21 | head[7] << 14 | head[8] << 7 | head[9]
        at += 10 + size + (10 if head[5] & 0x10 else 0)
    return at


def without_tags(file: BinaryIO) -> BinaryIO:
    """Return the file from the end of its tags on, if the container has no place for tags."""
    at = tags_end(file)
    magic = peek(file, at, 8)
    if at and (magic.startswith(_MAGICS) or magic[4:] == b"ftyp"):
        return cast("BinaryIO", _FromOffset(file, at))
    return file


class _FromOffset(io.RawIOBase):
    """The part of a file from an offset on. Closing it closes the file."""

    def __init__(self, file: BinaryIO, offset: int) -> None:
        self._file, self._offset = file, offset
        file.seek(offset)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer).cast("B")
        data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = self._offset if whence == os.SEEK_SET else 0
        if whence == os.SEEK_SET and offset < 0:
            raise ValueError(f"negative seek value {offset}")
        return self._file.seek(start + offset, whence) - self._offset

    def tell(self) -> int:
        return self._file.tell() - self._offset

    def close(self) -> None:
        self._file.close()
        super().close()
