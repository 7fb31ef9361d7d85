"""The length in the headers of uncompressed audio.

FFmpeg takes the end of a truncated file for the end of its audio, so the sizes in the header have
to be read here.
"""

from collections.abc import Callable
from typing import BinaryIO

from aistemsplitter_engine.audio.peek import peek

_MAX_CHUNKS = 1000  # before the audio; real files have ten


def data_frames(container: str, file: BinaryIO) -> int | None:
    """Return the frames that the header of a WAV, RF64, W64 or CAF of PCM states, if it does."""
    return _READERS[container](file)


def _wav(file: BinaryIO) -> int | None:
    at, frame, long_size = 12, 0, 0
    for _ in range(_MAX_CHUNKS):
        head = peek(file, at, 8)
        if len(head) < 8:
            return None
        name, size = head[:4], int.from_bytes(head[4:], "little")
        if name == b"ds64":
            long_size = int.from_bytes(peek(file, at + 16, 8), "little")
        elif name == b"fmt ":
            frame = int.from_bytes(peek(file, at + 20, 2), "little")
        elif name == b"data":
            if size == 0xFFFFFFFF and long_size:
                size = long_size
            elif _is_unknown(size):
                return None
            return size // frame if frame else None
        at += 8 + size + size % 2
    return None


def _is_unknown(size: int) -> bool:
    """Return whether a size is 0 or near the maximum, as written before the length is known."""
    return size == 0 or size >= 0xFFFFF000 or 0x7FFFF000 <= size <= 0x800000FF


def _w64(file: BinaryIO) -> int | None:
    at, frame = 40, 0
    for _ in range(_MAX_CHUNKS):
        head = peek(file, at, 24)
        if len(head) < 24:
            return None
        name, size = head[:4], int.from_bytes(head[16:], "little")
        if name == b"fmt ":
            frame = int.from_bytes(peek(file, at + 36, 2), "little")
        elif name == b"data":
            return (size - 24) // frame if frame and size > 24 else None
        if size < 24:
            return None
        at += -(-size // 8) * 8
    return None


def _caf(file: BinaryIO) -> int | None:
    at, frame = 8, 0
    for _ in range(_MAX_CHUNKS):
        head = peek(file, at, 12)
        if len(head) < 12:
            return None
        name, size = head[:4], int.from_bytes(head[4:], "big", signed=True)
        if name == b"desc":
            frame = int.from_bytes(peek(file, at + 28, 4), "big")
        elif name == b"data":
            return (size - 4) // frame if frame and size > 4 else None
        if size < 0:
            return None
        at += 12 + size
    return None


_READERS: dict[str, Callable[[BinaryIO], int | None]] = {"wav": _wav, "w64": _w64, "caf": _caf}
