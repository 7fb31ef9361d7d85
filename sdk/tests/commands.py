"""Run commands and create virtual environments as a user would, without the tests' paths."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    """Run a command and return its output; fail if it fails."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def make_venv(folder: Path) -> Path:
    """Create a virtual environment and return its folder of commands."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts" if os.name == "nt" else "bin")
