"""The parent's side of the engine's process: it starts, stops and, if it hangs, kills it.

The engine gets each song from a confined process that decodes it.
"""

from __future__ import annotations

import json
import logging
import queue
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aistemsplitter_server.sandbox import python
from aistemsplitter_server.sandbox.decoder import CANNOT_DECODE, Decoder
from aistemsplitter_server.worker import separating
from aistemsplitter_server.worker.separating import Task

logger = logging.getLogger(__name__)

# seconds that stopping may take, until the end of a segment, before the process is killed
STOP_TIMEOUT = 20.0
START_TIMEOUT = 120.0  # seconds that the process may take to start
PASSES = 3  # a long song is decoded twice, and its beginning once more
DECODER_SILENCE = 0.5  # of the engine's limit: the decoder fails before the engine counts as hung
POLL = 0.5  # seconds between two checks whether to stop


class Stopped(Exception):
    """The separation was stopped on request. Its progress is kept for the next attempt."""


class Failed(Exception):
    """The song could not be separated.

    Attributes:
        code: The split's error code; ``INTERNAL`` where another attempt may succeed.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class Result:
    """The files of the stems, and warnings about them."""

    files: dict[str, Path]
    sample_rate: int
    seconds: float
    gain: float
    loudness_gain: float
    warnings: list[str]


class Engine:
    """The engine's process, started when it is first needed and again after it died.

    It separates one song at a time.

    Attributes:
        device: The device that it computes on, such as ``cpu`` or ``cuda``, once it has started.

    Args:
        silence: Seconds without progress after which it counts as hung, loading a model included.
        work: The folder that it writes to, with the songs' work folders.
        decode_seconds: Limit of the processor time for decoding a song.
        device: The device to compute on, without which it does not start; None for the best one.
    """

    def __init__(
        self, silence: float, work: Path, decode_seconds: int, device: str | None = None
    ) -> None:
        self._silence = silence
        self._work = work
        self._decode_seconds = decode_seconds
        self.device = ""
        self._chosen_device = device
        self._process: subprocess.Popen[str] | None = None
        self._messages: queue.Queue[dict[str, Any] | None] = queue.Queue()

    def start(self) -> None:
        """Start the process unless it runs, and wait until it is ready.

        Raises:
            Failed: It cannot start; the text says why.
        """
        if self._process is not None and self._process.poll() is None:
            return
        self.kill()
        self._work.mkdir(mode=0o700, parents=True, exist_ok=True)
        setup = {
            "work": str(self._work),
            "patience": DECODER_SILENCE * self._silence,
            "device": self._chosen_device,
        }
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = subprocess.Popen(
                    python.command(separating.__name__, json.dumps(setup)),
                    env=python.engine_environment(),
                    stdin=theirs.fileno(),
                    stdout=subprocess.PIPE,
                    text=True,
                    start_new_session=True,  # the worker handles Ctrl-C and stops the engine
                )
        except BaseException:
            control.close()
            raise
        self._control = control
        Decoder.warm()
        self._messages = queue.Queue()
        self._reader = threading.Thread(
            target=_read, args=(self._process, self._messages), name="engine", daemon=True
        )
        self._reader.start()
        self._await_ready()

    def _await_ready(self) -> None:
        try:
            message = self._messages.get(timeout=START_TIMEOUT)
        except queue.Empty:
            reason = f"not ready after {START_TIMEOUT:g} s"
        else:
            if message is not None and "ready" in message:
                self.device = message["device"]
                return
            reason = "it ended" if message is None else message["failed"]["message"]
        self.kill()
        raise Failed("INTERNAL", f"the engine's process cannot start: {reason}")

    def separate(
        self, task: Task, on_progress: Callable[[float], None], stop: Callable[[], bool]
    ) -> Result:
        """Separate a song.

        Args:
            on_progress: Called with the fraction that is done.
            stop: Called now and then; returns whether to stop.

        Raises:
            Stopped: ``stop`` returned True.
            Failed: The song cannot be separated, or the process died or hung.
        """
        self.start()
        with Path(task.song).open("rb") as song, Decoder.take() as decoder:
            audio = decoder.stream(
                song.fileno(),
                task.name,
                longest=task.seconds,
                seconds=PASSES * self._decode_seconds,
            )
            with audio:
                self._send(separating.line(task), audio.fileno())
            try:
                return self._result(on_progress, stop)
            except Failed as error:
                if error.code != separating.DECODER_FAILED:
                    raise
                if (lack := decoder.lack()) is not None:
                    code = separating.OUT_OF_MEMORY if lack.lasts else "INTERNAL"
                    raise Failed(code, lack.reason) from None
                raise Failed("UNSUPPORTED_MEDIA", f"{task.name}: {CANNOT_DECODE}") from None
            finally:
                Decoder.warm()

    def _result(self, on_progress: Callable[[float], None], stop: Callable[[], bool]) -> Result:
        stopping_since: float | None = None
        heard = time.monotonic()
        while True:
            message = self._next()
            now = time.monotonic()
            # checked first: an attempt that was suspended may be superseded
            if stopping_since is None and stop():
                stopping_since = now
                self._send(json.dumps({"stop": True}))
            if message is None:  # no message yet
                limit = self._silence if stopping_since is None else STOP_TIMEOUT
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
                    failed = Failed(**message["failed"])
                    if failed.code == "MODEL_UNAVAILABLE":
                        self.kill()  # the next process may read folders that did not exist before
                    raise failed

    def kill(self) -> None:
        """Kill the process, and the decoder that waits for its next song."""
        Decoder.dismiss()
        if self._process is None:
            return
        self._process.kill()
        self._control.close()
        with self._process:
            self._reader.join()
        self._process = None

    def _send(self, message: str, *files: int) -> None:
        with suppress(OSError):  # if the process died, the reader reports it
            socket.send_fds(self._control, [message.encode()], files)

    def _next(self) -> dict[str, Any] | None:
        try:
            message = self._messages.get(timeout=POLL)
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
