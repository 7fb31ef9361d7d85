"""The engine's side of a song that a confined process decodes.

Nothing from there is trusted: a hostile file may have taken the decoder over.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Iterator
from typing import Any

import numpy as np

from aistemsplitter_engine import AudioError
from aistemsplitter_engine.audio import BLOCK_FRAMES, Cover, FloatArray
from aistemsplitter_engine.audio.file import MAX_RATE, MIN_RATE
from aistemsplitter_engine.audio.picture import dimensions
from aistemsplitter_engine.audio.source import finite
from aistemsplitter_engine.audio.tags import MAX_COVER, MAX_TAG, MAX_TAGS
from aistemsplitter_server.sandbox.messages import printable
from aistemsplitter_server.sandbox.pcm import COUNT, PASS

LARGEST_MESSAGE = 64 << 20  # bytes of JSON
MOST_CHANNELS = 512  # the most that FFmpeg supports
MOST_WARNINGS = 20
SLACK = 1.0  # seconds by which a song may exceed its measured duration


class DecoderFailed(Exception):
    """The decoder died, stalled, or sent something other than audio.

    Not an AudioError, on which the engine discards its progress: if the decoder failed for lack of
    memory or processor time, the next attempt resumes.
    """


class ReceivedSong:
    """A song as the engine reads it: a ``Source`` with tags, a cover and warnings.

    Args:
        decoder: The socket to its decoder.
        name: The song's name in messages.
        duration: Its measured duration in seconds.
        patience: Seconds that the decoder may be silent.

    Raises:
        AudioError: The file cannot be decoded.
        DecoderFailed: The decoder ended or misbehaved.
    """

    def __init__(self, decoder: socket.socket, name: str, duration: float, patience: float) -> None:
        self.name = printable(name)
        self._decoder = decoder
        self._decoder.settimeout(patience)
        head = self._message()
        rate, channels = head.get("sample_rate"), head.get("channels")
        if not isinstance(rate, int) or not isinstance(channels, int):
            raise self._failed()
        if not MIN_RATE <= rate <= MAX_RATE or not 1 <= channels <= MOST_CHANNELS:
            raise self._failed()
        self.sample_rate, self.channels = rate, channels
        self.warnings = _texts(head.get("warnings"))
        self.tags = _tags(head.get("tags"))
        self.cover = self._cover(head.get("cover"))
        self.duration = duration
        self._most = math.ceil((duration + SLACK) * rate)

    def blocks(self) -> Iterator[FloatArray]:
        """Yield the song from its start as (2, n) blocks."""
        try:
            self._decoder.sendall(PASS)
        except OSError:
            raise self._failed() from None
        total = 0
        while frames := self._count():
            total += frames
            if frames > BLOCK_FRAMES or total > self._most:
                raise self._failed()
            samples = np.frombuffer(self._receive(8 * frames), "<f4").reshape(2, frames)
            yield finite(samples)[0]
        for warning in _texts(self._message().get("warnings")):
            if warning not in self.warnings:
                self.warnings.append(warning)

    def _cover(self, stated: Any) -> Cover | None:
        if not isinstance(stated, dict):
            return None
        mime, size = stated.get("mime"), stated.get("size")
        if mime not in ("image/jpeg", "image/png") or not isinstance(size, int):
            raise self._failed()
        if not 0 < size <= MAX_COVER:
            raise self._failed()
        cover = Cover(mime, bytes(self._receive(size)))
        if not all(dimensions(cover)):
            self.warnings.append("the cover picture is damaged and was left out")
            return None
        return cover

    def _message(self) -> dict[str, Any]:
        size = self._count()
        if size > LARGEST_MESSAGE:
            raise self._failed()
        try:
            message = json.loads(self._receive(size))
        except (ValueError, RecursionError):
            raise self._failed() from None
        if not isinstance(message, dict):
            raise self._failed()
        if message.get("fault") is not None:
            raise AudioError(printable(message["fault"]))
        return message

    def _count(self) -> int:
        count: int = COUNT.unpack(self._receive(COUNT.size))[0]
        return count

    def _receive(self, size: int) -> bytearray:
        data = bytearray(size)
        rest = memoryview(data)
        while rest:
            try:
                received = self._decoder.recv_into(rest)
            except OSError:  # among others, it was silent for too long
                received = 0
            if not received:
                raise self._failed()
            rest = rest[received:]
        return data

    def _failed(self) -> DecoderFailed:
        return DecoderFailed(f"{self.name}: its decoder failed")


def _texts(found: Any) -> list[str]:
    if not isinstance(found, list):
        return []
    return [printable(text) for text in found[:MOST_WARNINGS]]


def _tags(found: Any) -> dict[str, str]:
    pairs = list(found.items())[:MAX_TAGS] if isinstance(found, dict) else []
    return {
        _text(name)[:100]: _text(text)[:MAX_TAG] for name, text in pairs if isinstance(text, str)
    }


def _text(text: str) -> str:
    """Return text that FFmpeg can write."""
    return text.encode(errors="replace").decode().replace("\0", " ")
