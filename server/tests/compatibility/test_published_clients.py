"""Clients that are in the world drive a whole split, unchanged."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from published_clients import Endpoint

HERE = Path(__file__).parent


def test_python(endpoint: Endpoint, published: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(published)}
    command = [sys.executable, str(HERE / "published.py"), *endpoint.arguments]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert ran.stdout == "done\n", ran.stderr


def test_node(endpoint: Endpoint, published_node: Path) -> None:
    command = ["node", str(HERE / "published.mjs"), *endpoint.arguments]
    ran = subprocess.run(command, cwd=published_node, capture_output=True, text=True, timeout=300)
    assert ran.stdout == "done\n", ran.stderr
