"""The parent's side: a child for each file, the next one born ahead."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.measuring import child
from aistemsplitter_server.measuring.child import MESSAGE
from aistemsplitter_server.sandbox import python
from aistemsplitter_server.sandbox.messages import printable

DAMAGED = "cannot be decoded, or not in a reasonable time; convert it to WAV or FLAC and try again"


@dataclass(frozen=True, slots=True)
class Measured:
    """What a file holds; the rate is in Hz."""

    duration_seconds: float
    sample_rate: int
    channels: int


class MeasuringFailed(Exception):
    """It cannot be split; the text is for its owner.

    Attributes:
        code: of the contract, ``UNSUPPORTED_MEDIA`` or ``INPUT_TOO_LONG``.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        self.message = message
        super().__init__(message)


def measure(path: Path, filename: str, settings: Settings) -> Measured:
    """Decode a file to its end, in a process of its own that can do nothing but that.

    Args:
        path: a regular file.
        filename: what its owner calls it.

    Raises:
        MeasuringFailed: it is no audio that can be split.
        OSError: the file cannot be opened, or no process be had.
    """
    with path.open("rb") as file:
        answer = _Child.take().ask(
            file.fileno(),
            name=filename,
            seconds=settings.measure_seconds,
            longest=settings.max_duration_seconds,
        )
    if answer is None:
        raise MeasuringFailed("UNSUPPORTED_MEDIA", f"{filename}: {DAMAGED}")
    if "too_long" in answer:
        limit = f"{settings.max_duration_seconds / 3600:g} h"
        raise MeasuringFailed("INPUT_TOO_LONG", f"{filename}: is longer than {limit}")
    if "fault" in answer:
        raise MeasuringFailed("UNSUPPORTED_MEDIA", printable(answer["fault"]))
    return Measured(
        float(answer["duration_seconds"]), int(answer["sample_rate"]), int(answer["channels"])
    )


def warm() -> None:
    """Have a child ready for the file that comes next: being born takes it some tenths."""
    _Child.warm()


class _Child:
    """One process; the next one to be asked waits, with all that it needs loaded."""

    _lock: ClassVar = threading.Lock()
    _waiting: ClassVar[_Child | None] = None

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                python.command(child.__name__, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env=python.SINGLE_THREADED,
                start_new_session=True,
                cwd="/",
            )
        self._socket = ours

    @classmethod
    def warm(cls) -> None:
        with cls._lock:
            if cls._waiting is None or cls._waiting._process.poll() is not None:
                cls._waiting = cls()

    @classmethod
    def take(cls) -> _Child:
        with cls._lock:
            child, cls._waiting = cls._waiting, None
        if child is None or child._process.poll() is not None:
            child = cls()
        return child

    def ask(self, file: int, **task: str | int) -> dict[str, Any] | None:
        """Its answer, None where it died or took too long."""
        try:
            with self._socket:
                self._socket.settimeout(int(task["seconds"]))
                socket.send_fds(self._socket, [json.dumps(task).encode()], [file])
                answer = self._socket.recv(MESSAGE)
                found = json.loads(answer) if answer else None
                return found if isinstance(found, dict) else None
        except (OSError, ValueError):
            return None
        finally:
            self._process.kill()
            self._process.wait()
