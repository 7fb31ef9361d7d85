"""Run ``aistemsplitter-server`` on a test's own data folder, in this process or in its own."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

from aistemsplitter_server.cli import main

COMMAND = [sys.executable, "-m", "aistemsplitter_server"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in this process, which takes a tenth of the time of a new one."""
    command = _command(folder, *arguments)
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        patch.dict(os.environ),
        patch.object(sys, "argv", command[2:]),
        contextlib.chdir(folder),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as exit:
            if isinstance(exit.code, str):  # as Python does on exit
                print(exit.code, file=sys.stderr)
            code = exit.code if isinstance(exit.code, int) else int(exit.code is not None)
    return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())


def run_process(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own to its end."""
    command = _command(folder, *arguments)
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=300)


def ok(folder: Path, *arguments: str) -> str:
    """Run the command, which must succeed, and return its output."""
    done = run(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def _command(folder: Path, *arguments: str) -> list[str]:
    return [*COMMAND, "--data", str(folder / "data"), *arguments]
