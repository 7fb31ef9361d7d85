"""The command ``aistemsplitter-server`` as a process, on ``data`` in a folder of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "aistemsplitter_server"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [*COMMAND, "--data", str(folder / "data"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def ok(folder: Path, *arguments: str) -> str:
    """What it prints, where nothing goes wrong."""
    done = run(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
