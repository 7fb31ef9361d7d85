"""Two simultaneous installations, and one that is interrupted or killed."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter_engine.weights.download import install
from aistemsplitter_engine.weights.store import is_installed


def start_install(published: Any, server: Any) -> subprocess.Popen[str]:
    """Start another process that installs the same model."""
    program = f"""
import sys
from aistemsplitter_engine.weights.catalogue import *
from aistemsplitter_engine.weights.download import Servers, install
from aistemsplitter_engine.weights.transfer import RetryPolicy
MODELS["some_model"] = {published.spec!r}
print("started", flush=True)
print(*install("some_model", servers=Servers("{server.url}/official", None)))
"""
    return subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_two_simultaneous_installations_download_once(
    server: Any, published: Any, empty_machine: Path
) -> None:
    both_started = threading.Event()

    def wait(request: Any, content: bytes) -> None:
        both_started.wait(300)
        request.send_file(content)

    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [wait]
    with start_install(published, server) as first, start_install(published, server) as second:
        for process in (first, second):
            assert process.stdout is not None
            assert process.stdout.readline() == "started\n"
        both_started.set()
        outputs = [process.communicate(timeout=300) for process in (first, second)]
    assert outputs == [(f"{empty_machine / published.file.name}\n", "")] * 2
    assert len(server.requests) == 1


@pytest.mark.parametrize("interrupt", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_keeps_its_partial_file(
    interrupt: int, server: Any, published: Any, empty_machine: Path, left: Any
) -> None:
    arrived = threading.Event()

    def stall(request: Any, content: bytes) -> None:
        request.send(200, content[:100_000], length=len(content))
        arrived.set()
        request.server.closing.wait()

    server.files[published.official_path] = published.content
    server.answers[published.official_path] = [stall]
    with start_install(published, server) as process:
        assert arrived.wait(300)
        part = empty_machine / f"{published.file.name}.part"
        while not (part.exists() and part.stat().st_size >= 65_536):
            assert process.poll() is None
        process.send_signal(interrupt)
        process.communicate(timeout=300)
        assert process.returncode != 0
    assert left() == [part.name]
    install("some_model", servers=published.on(server))
    assert is_installed("some_model")
    assert server.ranges[1] is not None
