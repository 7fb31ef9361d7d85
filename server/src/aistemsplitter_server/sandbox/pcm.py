"""The protocol by which a confined decoder sends audio to the engine.

The decoder sends a head: JSON, and the cover picture's bytes. For each ``PASS`` that it receives,
it sends the song from its start: blocks, each a frame count and (2, n) float32, then 0 and a tail
of JSON. A fault in a head or tail is an error message for the song's owner.

``received_song.py`` is the receiver's side.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import FloatArray

PASS = b"p"
COUNT = struct.Struct("<I")


def serve(song: Any, engine: socket.socket, longest: float | None) -> None:
    """Send a song as often as it is requested.

    Args:
        song: An ``AudioFile``.
        longest: Seconds after which it ends; None for all of it.
    """
    from aistemsplitter_engine import AudioError

    cover = song.cover
    head = {
        "sample_rate": song.sample_rate,
        "channels": song.channels,
        "tags": song.tags,
        "cover": None if cover is None else {"mime": cover.mime, "size": len(cover.data)},
        "warnings": song.warnings,
    }
    _send(engine, head)
    if cover is not None:
        engine.sendall(cover.data)
    frames = None if longest is None else round(longest * song.sample_rate)
    while engine.recv(1):
        fault = None
        try:
            for block in _beginning(song.blocks(), frames):
                engine.sendall(COUNT.pack(block.shape[1]))
                engine.sendall(np.ascontiguousarray(block, "<f4").data.cast("B"))
        except AudioError as error:
            fault = str(error)
        engine.sendall(COUNT.pack(0))
        _send(engine, {"fault": fault, "warnings": song.warnings})


def send_fault(fault: str, engine: socket.socket) -> None:
    """Send the reason why there is no song, in place of its head."""
    _send(engine, {"fault": fault})


def _beginning(blocks: Iterator[FloatArray], frames: int | None) -> Iterator[FloatArray]:
    for block in blocks:
        if frames is not None:
            block, frames = block[:, :frames], max(0, frames - block.shape[1])
        yield block
        if frames == 0:
            return


def _send(engine: socket.socket, message: dict[str, Any]) -> None:
    encoded = json.dumps(message).encode()
    engine.sendall(COUNT.pack(len(encoded)) + encoded)
