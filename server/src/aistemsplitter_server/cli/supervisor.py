"""A supervisor that keeps a few processes running, and restarts those that die.

Own code: honcho 2.0 stops all processes when one ends, circus 0.19 brings ZeroMQ and Tornado, and
neither has the system end the children when the supervisor itself is killed.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
POLL = 0.2  # seconds between two checks of the processes
YOUNG = 10.0  # seconds; a process that dies earlier counts as failing
PAUSES = (0.5, 1, 2, 5, 10)  # seconds before a failing process is restarted
DRAIN = 60.0  # seconds that the processes have to stop


class GaveUp(Exception):
    """A process that keeps failing right after its start, named in the message."""


@dataclass
class Child:
    """A process to keep running: its name, command line and open files."""

    name: str
    command: Sequence[str]
    files: Sequence[int] = ()  # descriptors that it inherits
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0  # consecutive deaths right after the start
    due: float = 0.0

    def check(self, environment: Mapping[str, str]) -> None:
        """Start the process if it is not running and its pause is over.

        Raises:
            GaveUp: It has failed too often.
        """
        now = time.monotonic()
        if self.process is not None:
            status = self.process.poll()
            if status is None:
                return
            self.process = None
            self.deaths = self.deaths + 1 if now - self.started < YOUNG else 0
            if self.deaths > len(PAUSES):
                raise GaveUp(
                    f"the {self.name} keeps failing right after its start (status {status})"
                )
            pause = PAUSES[max(0, self.deaths - 1)]
            logger.warning(
                "the %s has ended (status %s); restarting it in %g s",
                self.name,
                status,
                pause,
            )
            self.due = now + pause
        if now >= self.due:
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                pass_fds=self.files,
                preexec_fn=partial(_end_with_parent, os.getpid()),
                start_new_session=True,  # Ctrl-C is for the supervisor, which stops the others
            )
            self.started = now

    def send_signal(self, number: int) -> None:
        """Send the process a signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def supervise(children: Sequence[Child], environment: Mapping[str, str]) -> None:
    """Keep the processes running until SIGTERM or SIGINT, then stop them; a second one kills them.

    Raises:
        GaveUp: A process cannot be kept running; the others are stopped.
    """
    stop, at_once = threading.Event(), threading.Event()

    def on_signal(_number: int, _frame: object) -> None:
        (at_once if stop.is_set() else stop).set()

    before = {
        number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        while not stop.wait(POLL):
            for child in children:
                child.check(environment)
    finally:
        _end(children, at_once)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(children: Sequence[Child], at_once: threading.Event) -> None:
    for child in children:
        child.send_signal(signal.SIGTERM)
    ends = time.monotonic() + DRAIN
    running = [child.process for child in children if child.process is not None]
    while any(process.poll() is None for process in running):
        if at_once.wait(POLL) or time.monotonic() > ends:
            for child in children:
                child.send_signal(signal.SIGKILL)
            break
    for process in running:
        process.wait()


def _end_with_parent(parent: int) -> None:
    """Let the kernel end this process when its parent dies in any way (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before the call
            os._exit(1)
