"""Type checkers accept ``types/usage.py``, and reject each marked line of ``types/mistakes.py``."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

TYPES = Path(__file__).with_name("types")
ROOT = TYPES.parents[2]


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_checkers_agree(checker: str) -> None:
    if find_spec(checker) is None:
        pytest.skip(f"{checker} is not installed")
    options = ["--pythonpath", sys.executable] if checker == "pyright" else []
    files = [str(path) for path in sorted(TYPES.glob("*.py"))]
    done = subprocess.run(
        [sys.executable, "-m", checker, *options, *files],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
