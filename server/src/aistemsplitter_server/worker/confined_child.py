"""Child processes that run one task on open files, confined, and end."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from aistemsplitter_server.sandbox import python
from aistemsplitter_server.sandbox.confinement import confine_decoder
from aistemsplitter_server.sandbox.messages import printable

POLL = 0.25  # seconds between two checks


def run(
    module: str,
    task: str,
    files: Sequence[int],
    *,
    seconds: float,
    check: Callable[[], None],
) -> None:
    """Run ``main`` of a module, which confines its process, and wait until it has ended.

    Args:
        module: The module; it writes errors to stdout.
        task: The child's argument.
        files: Open descriptors that the child inherits.
        seconds: Time after which it is killed.
        check: Called again and again meanwhile. If it raises, the child is killed.

    Raises:
        RuntimeError: The child failed or timed out.
    """
    child = subprocess.Popen(
        python.command(module, task),
        env=python.SINGLE_THREADED,
        stdin=subprocess.PIPE,  # closed when this process dies: see ``end_without_parent``
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,  # Ctrl-C in the terminal is for the worker, which stops it
        pass_fds=files,
        cwd="/",
    )
    ends = time.monotonic() + seconds
    try:
        while True:
            try:
                child.wait(POLL)
                break
            except subprocess.TimeoutExpired:
                check()
                if time.monotonic() > ends:
                    raise RuntimeError("the child process timed out") from None
    finally:
        child.kill()
        said, _ = child.communicate()
    if child.returncode:
        raise RuntimeError(printable(said) or f"the child died (status {child.returncode})")


def answer(result: int, compute: Callable[[], Any], *, cpu_seconds: int, largest_file: int) -> None:
    """Confine this child process, write the result of its task, and end. Errors go to stdout.

    Args:
        result: The file to write to, as JSON.
        compute: Returns the result.
        cpu_seconds: Limit of processor time.
        largest_file: Limit of a file's size in bytes.
    """
    from aistemsplitter_engine import EngineError

    confine_decoder(seconds=cpu_seconds, largest_file=largest_file)
    try:
        with os.fdopen(result, "w") as file:
            json.dump(compute(), file, separators=(",", ":"))
    except (EngineError, OSError, MemoryError) as error:
        sys.stdout.write(str(error) or type(error).__name__)
        sys.stdout.flush()
        os._exit(1)
    os._exit(0)


def end_without_parent() -> None:
    """End this child process if its parent has died in any way, since stdin is closed then."""
    stdin = select.poll()
    stdin.register(sys.stdin, select.POLLIN)
    if stdin.poll(0):
        os._exit(1)
