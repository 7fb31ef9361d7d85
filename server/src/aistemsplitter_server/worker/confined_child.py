"""Child processes that run one task on open files, confined, and end."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence

from aistemsplitter_server.sandbox import python
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
        stdin=subprocess.PIPE,  # closed when this process dies, and then the child ends
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
