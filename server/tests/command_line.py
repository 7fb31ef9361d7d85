"""Run ``aistemsplitter-server`` as a process on a test's own data folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

COMMAND = [sys.executable, "-m", "aistemsplitter_server"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    command = [*COMMAND, "--data", str(folder / "data"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def ok(folder: Path, *arguments: str) -> str:
    """Run the command, which must succeed, and return its output."""
    done = run(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout
