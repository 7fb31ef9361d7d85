"""Published clients drive a whole split, unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from databases import only_sqlite
from published_clients import Endpoint

pytestmark = only_sqlite  # clients see no difference between the databases

HERE = Path(__file__).parent
SDK = HERE.parents[2] / "sdk" / "src"


def run_python(endpoint: Endpoint, package: Path) -> str:
    """Run the program with the package in this folder; return its warnings."""
    environment = {**os.environ, "PYTHONPATH": str(package)}
    command = [sys.executable, str(HERE / "published.py"), *endpoint.arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.stdout == "done\n", ran.stderr
    return ran.stderr


def test_python(endpoint: Endpoint, published: Path) -> None:
    assert run_python(endpoint, published) == ""


def test_the_same_program_with_the_current_sdk(endpoint: Endpoint) -> None:
    assert "DeprecationWarning: AIStemSplitter is deprecated" in run_python(endpoint, SDK)


def test_node(endpoint: Endpoint, published_node: Path) -> None:
    command = ["node", str(HERE / "published.mjs"), *endpoint.arguments]
    ran = subprocess.run(command, cwd=published_node, capture_output=True, text=True, timeout=300)
    assert ran.stdout == "done\n", ran.stderr
