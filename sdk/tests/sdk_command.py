"""The command ``aistemsplitter`` in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from clients import KEY

COMMAND = [sys.executable, "-m", "aistemsplitter.cli"]
SECRET = "whsec_test"


def run(environment: dict[str, str], *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end, and check that its output has no secret and no traceback."""
    command = [*COMMAND, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert "Traceback" not in done.stderr
    assert "\x1b" not in done.stdout + done.stderr  # not a terminal, so no escape codes
    assert KEY not in done.stdout + done.stderr
    return done
