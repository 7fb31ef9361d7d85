"""Keeps a few processes running: starts them, starts them again when they die, and ends them."""

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
from dataclasses import dataclass, field
from functools import partial

logger = logging.getLogger(__name__)

PR_SET_PDEATHSIG = 1
LOOK = 0.2  # seconds between two looks at the processes
YOUNG = 10.0  # seconds; one that dies younger has not worked
PAUSES = (0.5, 1, 2, 5, 10)  # seconds before one that died young is started again
DRAIN = 60.0  # seconds that they have to end


class GaveUp(Exception):
    """A process dies again and again right after its start; the text says which."""


@dataclass
class Child:
    """A process that is to run always: its name and command line."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    deaths: int = 0  # in a row, each while young
    due: float = field(default=0.0)

    def look(self, environment: Mapping[str, str]) -> None:
        """Start it if it does not run and its pause is over.

        Raises:
            GaveUp: it was started often enough.
        """
        now = time.monotonic()
        if self.process is not None:
            status = self.process.poll()
            if status is None:
                return
            self.process = None
            self.deaths = self.deaths + 1 if now - self.started < YOUNG else 0
            if self.deaths > len(PAUSES):
                raise GaveUp(f"the {self.name} ends right after its start (status {status})")
            pause = PAUSES[max(0, self.deaths - 1)]
            logger.warning(
                "the %s has ended (status %s); it is started again in %g s",
                self.name,
                status,
                pause,
            )
            self.due = now + pause
        if now >= self.due:
            self.process = subprocess.Popen(
                self.command,
                env=environment,
                preexec_fn=partial(_end_with_parent, os.getpid()),
                start_new_session=True,  # Ctrl-C is for the supervisor, which ends the others
            )
            self.started = now

    def tell(self, number: int) -> None:
        """Send it a signal."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)


def supervise(children: Sequence[Child], environment: Mapping[str, str]) -> None:
    """Keep them running until SIGTERM or SIGINT, then let them drain; a second one ends at once.

    Raises:
        GaveUp: one cannot be kept running; the others have ended.
    """
    stop, at_once = threading.Event(), threading.Event()

    def told(_number: int, _frame: object) -> None:
        (at_once if stop.is_set() else stop).set()

    before = {number: signal.signal(number, told) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not stop.wait(LOOK):
            for child in children:
                child.look(environment)
    finally:
        _end(children, at_once)
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(children: Sequence[Child], at_once: threading.Event) -> None:
    for child in children:
        child.tell(signal.SIGTERM)
    ends = time.monotonic() + DRAIN
    running = [child.process for child in children if child.process is not None]
    while any(process.poll() is None for process in running):
        if at_once.wait(LOOK) or time.monotonic() > ends:
            for child in children:
                child.tell(signal.SIGKILL)
            break
    for process in running:
        process.wait()


def _end_with_parent(parent: int) -> None:
    """Ask the system to end this process when its parent dies, however that dies (Linux)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it has died before we asked
            os._exit(1)
