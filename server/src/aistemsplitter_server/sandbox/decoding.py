"""The child process that decodes one file: started ahead of time, confined when it gets the file.

Its task is one message on the socket to its parent, with the open file. It reports that it is
confined, measures the file and answers with one message, or streams the audio over a second socket
that comes with the file.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import select
import socket
import sys
from typing import Any

MESSAGE = 4096  # bytes at most, either way
CONFINED = b"confined"  # the first message to the parent: the file is opened from now on


def main() -> None:
    """Run one task."""
    from aistemsplitter_engine import AudioError
    from aistemsplitter_engine.audio import AudioFile
    from aistemsplitter_server.sandbox import pcm, priority
    from aistemsplitter_server.sandbox.confinement import (
        confine_decoder,
        has_less_memory,
        load_decoders,
    )

    priority.lower(priority.DECODING)
    load_decoders()
    parent = socket.socket(fileno=int(sys.argv[1]))
    message, files, _, _ = socket.recv_fds(parent, MESSAGE, 2)
    if not message:
        return  # the parent has exited
    task = json.loads(message)
    engine = socket.socket(fileno=files[1]) if len(files) == 2 else None
    short_of_memory = has_less_memory()  # a confined process cannot ask
    nowhere = os.open(os.devnull, os.O_WRONLY)
    confine_decoder(seconds=task["cpu_seconds"])
    # Standard error is a pipe that nobody reads while the file is decoded.
    os.close(2)
    fcntl.fcntl(nowhere, fcntl.F_DUPFD, 2)
    parent.sendall(CONFINED)
    name, fault = task["name"], None
    try:
        song = AudioFile(name, files[0])
        if engine is None:
            answer = _measured(song, task["longest"], parent)
            parent.sendall(json.dumps(answer).encode())
        else:
            pcm.serve(song, engine, task["longest"])
    except AudioError as error:
        if short_of_memory:
            _exit_if_caused_by_memory(error)
        fault = str(error)
    except MemoryError:
        if short_of_memory:
            os._exit(1)
        fault = f"{name}: takes too much memory to decode; is it damaged?"
    if fault is not None:
        if engine is None:
            parent.sendall(json.dumps({"fault": fault[: MESSAGE // 8]}).encode())
        else:
            pcm.send_fault(fault, engine)
    os._exit(0)


def _exit_if_caused_by_memory(error: BaseException) -> None:
    """Exit, without a message, if an error is due to a lack of memory."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            os._exit(1)
        cause = cause.__cause__ or cause.__context__


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
