"""The process that decodes: born ready, confined, given one open file, and gone.

It is told what to measure by one message on its socket, which comes with the file, and answers
with one. Nothing of its environment or its parent's is left in it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import sys
from typing import Any

MESSAGE = 4096  # bytes at most, either way


def main() -> None:
    """Measure one file."""
    from aistemsplitter_engine import AudioError
    from aistemsplitter_engine.audio import AudioFile
    from aistemsplitter_server.sandbox.confinement import confine_decoder, load_decoders

    load_decoders()
    parent = socket.socket(fileno=int(sys.argv[1]))
    message, files, _, _ = socket.recv_fds(parent, MESSAGE, 1)
    if not message:
        return  # the parent has gone
    task = json.loads(message)
    confine_decoder(seconds=task["seconds"])
    try:
        answer = _measured(AudioFile(task["name"], files[0]), task["longest"], parent)
    except AudioError as error:
        answer = {"fault": str(error)}
    except MemoryError:
        answer = {"fault": f"{task['name']}: takes too much memory to decode; is it damaged?"}
    parent.sendall(json.dumps(answer).encode()[:MESSAGE])
    os._exit(0)


def _measured(song: Any, longest: int, parent: socket.socket) -> dict[str, Any]:
    frames = 0
    gone = select.poll()
    gone.register(parent, select.POLLIN)
    for block in song.blocks():
        frames += block.shape[1]
        if frames > longest * song.sample_rate:
            return {"too_long": True}
        if gone.poll(0):  # the parent
            os._exit(1)
    return {
        "duration_seconds": frames / song.sample_rate,
        "sample_rate": song.sample_rate,
        "channels": song.channels,
    }


if __name__ == "__main__":
    main()
