"""The child process that separates: told what to do on stdin, it tells how it goes on stdout.

Each line is a JSON object. In come a :class:`Task` and, while that is at work, ``{"stop": true}``;
out go ``{"progress": 0.5}``, and at the end ``{"done": {...}}``, ``{"stopped": true}`` or
``{"failed": {...}}``. Models stay loaded between tasks. It ends with its parent: stdin is closed
then, whatever killed it.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from aistemsplitter_engine import AudioArray, Separator

KEPT = 2  # models in memory; htdemucs_ft is four networks
PERIOD = 0.2  # seconds between two lines of progress


@dataclass(frozen=True, slots=True)
class Task:
    """What to separate.

    Attributes:
        name: what messages call the song.
        folder: where the stems go; an unfinished run that is found there is gone on with.
        seconds: only so many of the song, None for all.
    """

    song: str
    name: str
    folder: str
    model: str
    stems: list[str]
    format: str
    seconds: int | None


def main() -> None:
    """Carry out tasks until stdin ends."""
    told = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not get between our lines
    tasks: queue.Queue[Task] = queue.Queue()
    stop = threading.Event()
    threading.Thread(target=_listen, args=(sys.stdin, tasks, stop), daemon=True).start()
    separators: dict[str, Separator] = {}
    while True:
        task = tasks.get()
        _tell(told, _carried_out(task, separators, stop, told))


def _listen(stdin: TextIO, tasks: queue.Queue[Task], stop: threading.Event) -> None:
    for line in stdin:
        message = json.loads(line)
        if "stop" in message:
            stop.set()
        else:
            stop.clear()
            tasks.put(Task(**message))
    os._exit(0)


def _carried_out(
    task: Task, separators: dict[str, Separator], stop: threading.Event, told: TextIO
) -> dict[str, Any]:
    from aistemsplitter_engine import (
        AudioError,
        Cancelled,
        EngineError,
        ModelNotInstalled,
        OutputError,
    )

    due = 0.0

    def progress(fraction: float) -> None:
        nonlocal due
        if time.monotonic() >= due:
            _tell(told, {"progress": fraction})
            due = time.monotonic() + PERIOD

    try:
        separator = _separator(task.model, separators)
        result = separator.split(
            task.song if task.seconds is None else _beginning(task),
            task.folder,
            stems=task.stems,
            format=task.format,  # type: ignore[arg-type]  # the request's model has checked it
            resume=True,
            on_progress=progress,
            cancel=stop,
        )
    except Cancelled:
        return {"stopped": True}
    except ModelNotInstalled as error:
        return _failed("MODEL_UNAVAILABLE", str(error))
    except OutputError as error:  # a disk that is full or gone is no fault of the song
        return _failed("INTERNAL", str(error))
    except AudioError as error:
        return _failed("UNSUPPORTED_MEDIA", str(error).replace(task.song, task.name))
    except EngineError as error:
        return _failed("INTERNAL", str(error))
    return {
        "done": {
            "files": {stem: str(path) for stem, path in result.stems.items()},
            "sample_rate": result.sample_rate,
            "seconds": result.duration,
            "gain": result.gain,
            "warnings": [warning.replace(task.song, task.name) for warning in result.warnings],
        }
    }


def _separator(model: str, separators: dict[str, Separator]) -> Separator:
    from aistemsplitter_engine import Separator

    separator = separators.pop(model, None) or Separator(model)
    separators[model] = separator  # the newest last
    while len(separators) > KEPT:
        del separators[next(iter(separators))]
    return separator


def _beginning(task: Task) -> AudioArray:
    """The song's first seconds, in memory."""
    import numpy as np

    from aistemsplitter_engine import AudioArray
    from aistemsplitter_engine.audio import AudioFile

    song = AudioFile(Path(task.song))
    wanted = (task.seconds or 0) * song.sample_rate
    blocks, frames = [], 0
    for block in song.blocks():
        blocks.append(block)
        frames += block.shape[1]
        if frames >= wanted:
            break
    return AudioArray(np.concatenate(blocks, axis=1)[:, :wanted], song.sample_rate, task.name)


def _failed(code: str, message: str) -> dict[str, Any]:
    return {"failed": {"code": code, "message": message}}


def _tell(told: TextIO, message: dict[str, Any]) -> None:
    told.write(json.dumps(message) + "\n")
    told.flush()


def line(task: Task) -> str:
    """A task as the child reads it."""
    return json.dumps(asdict(task)) + "\n"


if __name__ == "__main__":
    main()
