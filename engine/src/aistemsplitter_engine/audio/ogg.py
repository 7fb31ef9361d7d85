"""Ogg pages: the first and last position of a stream, and whether the file is complete."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from aistemsplitter_engine.audio.peek import peek, size_of

_TAIL = 1 << 17  # bytes; a page takes at most 65 KB
_MAX_PAGES = 1000  # before the first one with audio; pictures in the headers take most of them
_LAST, _FIRST = 4, 2  # flags of a page
_UNKNOWN = (1 << 64) - 1  # the position of a page on which no packet ends


@dataclass(frozen=True)
class Page:
    """The header of a page."""

    flags: int
    position: int  # in samples, at the end of its last packet; "granule position" in RFC 3533
    serial: int
    packets: int  # that end on it
    size: int


def first_page(file: BinaryIO, stream: int) -> Page | None:
    """Return the first page of a stream on which an audio packet ends."""
    serial = _serial(file, stream)
    return next(
        (p for p in _pages(file) if p.serial == serial and p.position not in (0, _UNKNOWN)), None
    )


def last_position(file: BinaryIO, stream: int) -> int | None:
    """Return the position in samples at which a stream ends, or None if that is not found."""
    serial = _serial(file, stream)
    tail = _tail(file)
    at = len(tail)
    while (at := tail.rfind(b"OggS", 0, at)) >= 0:
        page = _parsed(tail[at : at + 27 + 255])
        if page and page.serial == serial and page.position != _UNKNOWN:
            return page.position
    return None


def lacks_end(file: BinaryIO) -> bool:
    """Return whether the last page is not marked as the last, as in a truncated file."""
    tail = _tail(file)
    start = max(0, tail.rfind(b"OggS"))
    page = _parsed(tail[start : start + 27 + 255])
    return page is None or len(tail) - start < page.size or not page.flags & _LAST


def _serial(file: BinaryIO, stream: int) -> int | None:
    """Return the serial number of the stream that FFmpeg counts as number ``stream``."""
    for number, page in enumerate(_pages(file)):
        if not page.flags & _FIRST:
            break
        if number == stream:
            return page.serial
    return None


def _pages(file: BinaryIO) -> Iterator[Page]:
    at = 0
    for _ in range(_MAX_PAGES):
        page = _parsed(peek(file, at, 27 + 255))
        if page is None:
            return
        yield page
        at += page.size


def _parsed(head: bytes) -> Page | None:
    if len(head) < 27 or head[:4] != b"OggS":
        return None
    table = head[27 : 27 + head[26]]  # the sizes of the pieces that its packets are made of
    return Page(
        flags=head[5],
        position=int.from_bytes(head[6:14], "little"),
        serial=int.from_bytes(head[14:18], "little"),
        packets=sum(size < 255 for size in table),
        size=27 + len(table) + sum(table),
    )


def _tail(file: BinaryIO) -> bytes:
    return peek(file, max(0, size_of(file) - _TAIL), _TAIL)
