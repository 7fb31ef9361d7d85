"""Reading parts of a file without moving the position of its other reader."""

import os
from typing import BinaryIO


def peek(file: BinaryIO, start: int, size: int) -> bytes:
    """Return up to ``size`` bytes from ``start``; none at positions outside of the file."""
    here = file.tell()
    try:
        file.seek(start)
        return file.read(max(0, size))
    except (OSError, OverflowError, ValueError):
        return b""
    finally:
        file.seek(here)


def number_at(file: BinaryIO, start: int) -> int:
    """Return the big-endian 32-bit number at ``start``, 0 past the end."""
    return int.from_bytes(peek(file, start, 4), "big")


def size_of(file: BinaryIO) -> int:
    """Return the size of a file in bytes."""
    here = file.tell()
    try:
        return file.seek(0, os.SEEK_END)
    finally:
        file.seek(here)
