"""Duration of a fresh ``pip install`` of the SDK, and of ``import aistemsplitter``.

Installs the wheel, built from this tree, with its dependencies from the package index into a new
virtual environment, without pip's cache; then imports it in new processes. The time of an import is
the cumulative time that ``-X importtime`` reports for the package, without the interpreter's start.

    python bench/install.py
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

SDK = Path(__file__).parents[1] / "sdk"
IMPORTS = 15


def main() -> None:
    """Measure and print the results."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pip = ("-m", "pip", "--quiet", "--disable-pip-version-check")
        run(sys.executable, *pip, "wheel", "--no-deps", "-w", folder, SDK)
        (wheel,) = folder.glob("*.whl")
        venv.create(folder / "venv", with_pip=True)
        python = folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
        started = time.perf_counter()
        run(python, *pip, "install", "--no-cache-dir", wheel)
        installed = time.perf_counter() - started
        first, *later = [imported(python) for _ in range(IMPORTS + 1)]
    print(f"wheel: {wheel.name}")
    print(f"fresh pip install, without cache: {installed:.1f} s")
    print(f"import: {statistics.median(later):.0f} ms, the first time {first:.0f} ms")


def imported(python: Path) -> float:
    """Return the import time in a new process, in milliseconds."""
    report = run(python, "-X", "importtime", "-c", "import aistemsplitter")
    (microseconds,) = re.findall(r"\| +(\d+) \| aistemsplitter$", report, re.MULTILINE)
    return int(microseconds) / 1000


def run(*command: object) -> str:
    """Run a command and return its standard error; exit if it fails."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [str(part) for part in command], env=kept, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        sys.exit(done.stderr)
    return done.stderr


if __name__ == "__main__":
    main()
