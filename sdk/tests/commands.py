"""Commands and virtual environments, as a user has them: without the tests' own paths."""

from __future__ import annotations

import os
import subprocess
import venv
from pathlib import Path


def run(*command: object, cwd: Path | None = None, **environment: str) -> str:
    """What a command prints; its errors where it fails."""
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
    """A virtual environment; its folder of commands."""
    venv.create(folder, with_pip=True)
    return folder / ("Scripts" if os.name == "nt" else "bin")
