"""A process of the service that holds SQLite's write lock."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

# A process with a child, which holds SQLite's write lock.
HOLDER = """
import sqlite3, subprocess, sys
from pathlib import Path
from aistemsplitter_server.kit import heartbeats
data = Path(sys.argv[1])
with heartbeats.beating(data, "wrk_1", stalled_after=float(sys.argv[2])):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    database = sqlite3.connect(data / "service.db", isolation_level=None)
    database.execute("BEGIN IMMEDIATE")
    print(child.pid, flush=True)
    sys.stdin.read()
    child.kill()
"""


@contextmanager
def holder(data: Path, stalled_after: float = 600) -> Iterator[tuple[psutil.Popen, psutil.Process]]:
    """A process with heartbeats for the given patience, and its child."""
    command = [sys.executable, "-c", HOLDER, str(data), str(stalled_after)]
    process = psutil.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child = None
    try:
        child = psutil.Process(int(process.stdout.readline()))
        yield process, child
    finally:
        for each in filter(None, (child, process)):
            if each.is_running():
                os.kill(each.pid, signal.SIGKILL)  # tests replace psutil's function
        process.stdin.close()
        process.stdout.close()
        process.wait()
