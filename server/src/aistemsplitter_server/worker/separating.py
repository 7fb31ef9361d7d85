"""The engine's process: tasks come in through stdin, a socket, and results go out through stdout.

Each message is a JSON object. First the process sends ``{"ready": true, "device": "cpu"}``. Then it
gets a :class:`Task`, with the socket to the decoder, and during it possibly ``{"stop": true}``. It
sends ``{"progress": 0.5}`` and at the end ``{"done": {...}}``, ``{"stopped": true}`` or
``{"failed": {...}}``. Models stay loaded between tasks. The process ends with its parent, since
stdin is closed then.
"""

from __future__ import annotations

import errno
import json
import os
import queue
import socket
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from aistemsplitter_server.sandbox import priority
from aistemsplitter_server.sandbox.engine_confinement import confine_engine

if TYPE_CHECKING:
    from aistemsplitter_engine import Separator
    from aistemsplitter_engine.audio import Source

KEPT = 2  # models in memory; htdemucs_ft is four networks
MESSAGE = 1 << 16  # bytes of an incoming message at most
# Codes for the parent: it knows how the decoder ended, and that the machine lacks something.
DECODER_FAILED = "DECODER_FAILED"
OUT_OF_DISK, OUT_OF_MEMORY = "OUT_OF_DISK", "OUT_OF_MEMORY"
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
# Options by where the engine takes them; the request's model has checked them.
FOR_SEPARATOR = ("precision", "shifts", "seed", "overlap")
FOR_SONG = ("bit_depth", "sample_rate", "bitrate", "clip", "normalize")
PERIOD = 0.2  # seconds between two progress messages


@dataclass(frozen=True, slots=True)
class Task:
    """A song to separate.

    Attributes:
        song: The path of its file, for the parent, which has it decoded.
        name: The song's name in messages.
        folder: The folder for the stems. An unfinished run found there is resumed.
        seconds: How much of the song to separate; None for all.
        duration: The song's measured duration in seconds.
        options: Other arguments of the engine's :class:`Separator` and its ``split``.
    """

    song: str
    name: str
    folder: str
    model: str
    stems: list[str]
    format: str
    seconds: int | None
    duration: float
    options: dict[str, Any] = field(default_factory=dict)


def main() -> None:
    """Run tasks until stdin is closed."""
    priority.lower(priority.SEPARATING)
    setup = json.loads(sys.argv[1])
    output = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries that print must not interfere with the messages
    try:
        confine_engine(Path(setup["work"]))
        import aistemsplitter_engine.separator  # noqa: F401  # must load before "ready" is sent
        from aistemsplitter_engine.runtimes import best_device, open_runtime

        if (device := setup["device"]) is None:
            device = best_device()
        else:
            open_runtime(device, "auto")  # raises if this machine lacks it
    except Exception as error:
        _send(output, _failed("INTERNAL", f"{type(error).__name__}: {error}"))
        sys.exit(1)
    _send(output, {"ready": True, "device": device})
    tasks: queue.Queue[tuple[Task, socket.socket]] = queue.Queue()
    stop = threading.Event()
    control = socket.socket(fileno=0)
    threading.Thread(target=_listen, args=(control, tasks, stop), daemon=True).start()
    separators: dict[str, Separator] = {}
    while True:
        task, decoder = tasks.get()
        with decoder:
            song = partial(_received, task, decoder, setup["patience"])
            _send(output, _carried_out(task, song, separators, stop, output, device))


def _listen(
    control: socket.socket, tasks: queue.Queue[tuple[Task, socket.socket]], stop: threading.Event
) -> None:
    while True:
        line, files, _, _ = socket.recv_fds(control, MESSAGE, 1)
        if not line:
            os._exit(0)
        message = json.loads(line)
        if "stop" in message:
            stop.set()
        else:
            stop.clear()
            tasks.put((Task(**message), socket.socket(fileno=files[0])))


def _received(task: Task, decoder: socket.socket, patience: float) -> Source:
    from aistemsplitter_server.sandbox.received_song import ReceivedSong

    return ReceivedSong(decoder, task.name, task.duration, patience)


def _carried_out(
    task: Task,
    song: Callable[[], Source],
    separators: dict[str, Separator],
    stop: threading.Event,
    output: TextIO,
    device: str = "auto",
) -> dict[str, Any]:
    from aistemsplitter_engine import (
        AudioError,
        Cancelled,
        DeviceError,
        EngineError,
        ModelNotInstalled,
        OptionError,
        OutputError,
    )
    from aistemsplitter_server.sandbox.received_song import DecoderFailed

    try:
        separator = _separator(task, separators, device)
        result = separator.split(
            song(),
            task.folder,
            stems=task.stems,
            format=task.format,  # type: ignore[arg-type]  # the request's model has checked it
            resume=True,
            **_those(task, FOR_SONG),
            on_progress=_progress_to(output),
            cancel=stop,
        )
    except Cancelled:
        return {"stopped": True}
    except ModelNotInstalled as error:
        return _failed("MODEL_UNAVAILABLE", str(error))
    except OptionError as error:  # such as a format whose files cannot hold the song
        return _failed("UNSUPPORTED_MEDIA", str(error))
    except OutputError as error:
        is_full = isinstance(error.__cause__, OSError) and error.__cause__.errno in DISK_ERRORS
        return _failed(OUT_OF_DISK if is_full else "INTERNAL", str(error))
    except (DeviceError, MemoryError) as error:
        return _failed(OUT_OF_MEMORY, str(error) or "out of memory")
    except RuntimeError as error:  # C++'s, as the runtimes pass it on
        if "bad_alloc" not in str(error):
            raise
        return _failed(OUT_OF_MEMORY, "out of memory (std::bad_alloc)")
    except DecoderFailed as error:
        return _failed(DECODER_FAILED, str(error))
    except AudioError as error:
        return _failed("UNSUPPORTED_MEDIA", str(error))
    except EngineError as error:
        return _failed("INTERNAL", str(error))
    return {
        "done": {
            "files": {stem: str(path) for stem, path in result.stems.items()},
            "sample_rate": result.sample_rate,
            "seconds": result.duration,
            "gain": result.gain,
            "loudness_gain": result.loudness_gain,
            "warnings": [*result.warnings],
        }
    }


def _progress_to(output: TextIO) -> Callable[[float], None]:
    due = 0.0

    def send(fraction: float) -> None:
        nonlocal due
        if time.monotonic() >= due:
            _send(output, {"progress": fraction})
            due = time.monotonic() + PERIOD

    return send


def _separator(task: Task, separators: dict[str, Separator], device: str) -> Separator:
    from aistemsplitter_engine import Separator

    options = _those(task, FOR_SEPARATOR)
    key = json.dumps([task.model, options])
    separator = separators.pop(key, None) or Separator(task.model, device=device, **options)
    separators[key] = separator  # most recently used last
    while len(separators) > KEPT:
        separators.pop(next(iter(separators))).close()
    return separator


def _those(task: Task, names: Sequence[str]) -> dict[str, Any]:
    return {name: task.options[name] for name in names if name in task.options}


def _failed(code: str, message: str) -> dict[str, Any]:
    return {"failed": {"code": code, "message": message}}


def _send(output: TextIO, message: dict[str, Any]) -> None:
    output.write(json.dumps(message) + "\n")
    output.flush()


def line(task: Task) -> str:
    """Return a task as the message to the child."""
    return json.dumps(asdict(task))
