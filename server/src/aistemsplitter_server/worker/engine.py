"""The parent's side of the process that separates: it can be stopped, and killed when it hangs."""

from __future__ import annotations

import json
import logging
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aistemsplitter_server.sandbox import python
from aistemsplitter_server.worker import separating
from aistemsplitter_server.worker.separating import Task

logger = logging.getLogger(__name__)

PATIENCE = 20.0  # seconds that a stop may take, until the end of a segment, before it is killed
LOOK = 0.5  # seconds between two looks whether it should stop


class Stopped(Exception):
    """It was stopped on request; what it had is kept for the next attempt."""


class Failed(Exception):
    """The song could not be separated.

    Attributes:
        code: of the split's error; ``INTERNAL`` where another attempt may do better.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Result:
    """The files of the stems, and what is to be told of them."""

    files: dict[str, Path]
    sample_rate: int
    seconds: float
    gain: float
    warnings: list[str]


class Engine:
    """One child process, started when it is first needed and again after it died.

    Args:
        silence: seconds without progress after which it counts as hung, loading a model included.
    """

    def __init__(self, silence: float) -> None:
        self._silence = silence
        self._process: subprocess.Popen[str] | None = None
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def start(self) -> None:
        """Have the process there, before the first song comes."""
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        self._process = subprocess.Popen(
            python.command(separating.__name__),
            env=python.engine_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C in the terminal is for the worker, which stops it
        )
        self._messages = queue.Queue()
        self._reader = threading.Thread(
            target=_read, args=(self._process, self._messages), name="engine", daemon=True
        )
        self._reader.start()

    def separate(
        self, task: Task, on_progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> Result:
        """Separate one song.

        Args:
            on_progress: is told the fraction that is done.
            stop: asked now and then whether to stop.

        Raises:
            Stopped: ``stop`` said so.
            Failed: it cannot be done, or the process died or hung.
        """
        self.start()
        self._send(separating.line(task))
        stopping_since: float | None = None
        heard = time.monotonic()
        while True:
            message = self._next()
            now = time.monotonic()
            if stopping_since is None and stop():  # asked first: who was frozen has been overtaken
                stopping_since = now
                self._send(json.dumps({"stop": True}) + "\n")
            if message is None:  # nothing was said
                limit = self._silence if stopping_since is None else PATIENCE
                if now - max(heard, stopping_since or 0.0) > limit:
                    self.kill()
                    if stopping_since is not None:
                        raise Stopped
                    raise Failed("INTERNAL", f"the engine hung: {limit:g} s without progress")
            else:
                heard = now
                if "progress" in message and stopping_since is None:
                    on_progress(message["progress"])
                elif "done" in message:
                    done = message["done"]
                    files = {stem: Path(path) for stem, path in done.pop("files").items()}
                    return Result(files=files, **done)
                elif "stopped" in message:
                    raise Stopped
                elif "failed" in message:
                    raise Failed(**message["failed"])

    def kill(self) -> None:
        """End the process at once."""
        if self._process is None:
            return
        self._process.kill()
        with suppress(OSError), self._process:  # what was not written yet cannot be
            self._reader.join()
        self._process = None

    def _send(self, line: str) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            pass  # it died: the reader says so

    def _next(self) -> dict[str, Any] | None:
        try:
            message = self._messages.get(timeout=LOOK)
        except queue.Empty:
            return None
        if message is None:
            status = self._process.wait() if self._process else None
            self.kill()
            raise Failed("INTERNAL", f"the engine died (status {status})")
        return message


def _read(process: subprocess.Popen[str], messages: queue.Queue[dict[str, Any] | None]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        messages.put(json.loads(line))
    messages.put(None)
