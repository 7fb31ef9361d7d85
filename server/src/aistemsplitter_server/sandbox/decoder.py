"""The parent's side of confined decoders: one process for each file."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from aistemsplitter_server.sandbox import decoding, python
from aistemsplitter_server.sandbox.confinement import DECODER_MEMORY, has_less_memory
from aistemsplitter_server.sandbox.messages import printable

CANNOT_DECODE = "cannot be decoded, or takes too long; convert it to WAV or FLAC and try again"
BUFFER = 1 << 20  # bytes of audio in the kernel's buffer between two processes
ENDING = 5.0  # seconds that a process may take to end
LONGEST_ERROR = 1 << 16  # bytes
LITTLE = 0.1  # of the processor: a process that gets less is starved


@dataclass(frozen=True, slots=True)
class Lack:
    """What this machine lacks for decoding a file.

    Attributes:
        lasts: Whether it would lack that for other files too.
    """

    reason: str
    lasts: bool = False


class Decoder:
    """A decoder process, killed when the block ends. The next one is started ahead of time."""

    _lock: ClassVar = threading.Lock()
    _waiting: ClassVar[Decoder | None] = None

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = subprocess.Popen(
                    python.command(decoding.__name__, str(theirs.fileno())),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    pass_fds=[theirs.fileno()],
                    env=python.SINGLE_THREADED,
                    start_new_session=True,
                    cwd="/",
                )
        except BaseException:
            ours.close()
            raise
        self._socket = ours
        self._confined = False

    @classmethod
    def warm(cls) -> None:
        """Start a process for the next file ahead of time: that takes some tenths of a second."""
        with cls._lock:
            if cls._waiting is None or cls._waiting._process.poll() is not None:
                cls._waiting = cls()

    @classmethod
    def dismiss(cls) -> None:
        """End the process that was started for the next file."""
        with cls._lock:
            decoder, cls._waiting = cls._waiting, None
        if decoder is not None:
            decoder.close()

    @classmethod
    def take(cls) -> Decoder:
        """Return a process that has no file yet."""
        with cls._lock:
            decoder, cls._waiting = cls._waiting, None
        if decoder is None or decoder._process.poll() is not None:
            decoder = cls()
        return decoder

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process."""
        self._socket.close()
        self._process.kill()
        self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()

    def measure(self, file: int, name: str, *, longest: int, seconds: int) -> dict[str, Any] | None:
        """Decode a file to its end and return the decoder's answer; None if it died or timed out.

        Args:
            longest: Seconds of audio after which decoding stops.
            seconds: Limit of processor time.
        """
        try:
            self._socket.settimeout(2 * seconds + ENDING)
            self._send([file], name=name, cpu_seconds=seconds, longest=longest)
            if not self._is_confined():
                return None
            answer = self._socket.recv(decoding.MESSAGE)
            found = json.loads(answer) if answer else None
            return found if isinstance(found, dict) else None
        except (OSError, ValueError):
            return None

    def stream(self, file: int, name: str, *, longest: float | None, seconds: int) -> socket.socket:
        """Start to stream a file's audio, and return the socket to read it from (see ``pcm.py``).

        Args:
            longest: Seconds of audio after which the stream ends; None for all.
            seconds: Limit of processor time.
        """
        reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with writer, suppress(OSError):  # if the process died, the reader notices
            self._send([file, writer.fileno()], name=name, cpu_seconds=seconds, longest=longest)
        return reader

    def lack(self) -> Lack | None:
        """Return what this machine lacks, if that rather than the file made the process fail.

        That is so if it died before it opened the file, if limits of this process leave it less
        memory than it should have, if it was killed (by the kernel, if memory is short; its own
        limits end it in another way), or if it is stalled for lack of processor time or by a disk.
        """
        if self._process.poll() is None:
            began = self._processor_time()
            try:
                self._process.wait(ENDING)
            except subprocess.TimeoutExpired:
                starved = self._processor_time() - began < ENDING * LITTLE
                stalled = self._state() in "DT" or (self._state() == "R" and starved)
                return Lack("the decoder got no processor time") if stalled else None
        status = self._process.returncode
        if not self._is_confined():
            return Lack(f"the decoder cannot start: {self._last_words()}", lasts=True)
        if status != 0 and has_less_memory():
            reason = f"a decoder needs up to {DECODER_MEMORY >> 30} GiB of address space"
            return Lack(f"{reason}: raise LimitAS= or ulimit -v", lasts=True)
        return Lack("the decoder was killed") if status == -signal.SIGKILL else None

    def _is_confined(self) -> bool:
        """Return whether the process has reported that it is confined."""
        if not self._confined:
            try:
                self._confined = self._socket.recv(decoding.MESSAGE) == decoding.CONFINED
            except OSError:
                return False
        return self._confined

    def _last_words(self) -> str:
        """Return the last line that a process that has ended wrote to its standard error."""
        assert self._process.stderr is not None
        lines = self._process.stderr.read(LONGEST_ERROR).decode(errors="replace").split("\n")
        written = [line for line in lines if line.strip()]
        return printable(written[-1]) if written else f"status {self._process.returncode}"

    def _state(self) -> str:
        """Return R for runnable, S for sleeping, D for waiting for a disk, T for stopped."""
        return self._stat()[0] if sys.platform == "linux" else "S"

    def _processor_time(self) -> float:
        if sys.platform != "linux":
            return 0.0
        user, system = self._stat()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def _stat(self) -> list[str]:
        text = Path(f"/proc/{self._process.pid}/stat").read_text()
        return text.rpartition(")")[2].split()  # the name before it can contain anything

    def _send(self, files: list[int], **task: Any) -> None:
        socket.send_fds(self._socket, [json.dumps(task).encode()], files)
