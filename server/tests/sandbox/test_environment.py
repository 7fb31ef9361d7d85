"""No child process inherits the server's secrets in its environment."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import aistemsplitter_server
from aistemsplitter_server.kit.settings import PREFIX
from aistemsplitter_server.sandbox import python
from aistemsplitter_server.sandbox.decoder import Decoder
from aistemsplitter_server.worker.engine import Engine
from processes import until

SOURCES = Path(aistemsplitter_server.__file__).parent
STARTERS = {"Popen", "run", "call", "check_call", "check_output"}


@pytest.fixture(autouse=True)
def _secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (PREFIX + "SECRET", PREFIX + "DATABASE_URL", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "hush")
    monkeypatch.setenv("XDG_CACHE_HOME", "/nonexistent/cache")


def environment(pid: int) -> dict[str, str]:
    """Return the environment of a process, once it runs its own program."""

    def read() -> bytes:
        return Path(f"/proc/{pid}/environ").read_bytes()

    pairs = until(read).decode().rstrip("\0").split("\0")
    return dict(pair.split("=", 1) for pair in pairs)


def test_the_engine_gets_what_it_needs_and_no_secret(tmp_path: Path) -> None:
    engine = Engine(silence=60, work=tmp_path, decode_seconds=60)
    engine.start()
    try:
        assert engine._process is not None
        found = environment(engine._process.pid)
    finally:
        engine.kill()
    assert "hush" not in found.values()
    assert found["XDG_CACHE_HOME"] == "/nonexistent/cache"


def test_a_decoder_gets_an_empty_environment() -> None:
    with Decoder() as decoder:
        assert environment(decoder._process.pid) == python.SINGLE_THREADED


def test_every_process_gets_an_explicit_environment() -> None:
    """Only the supervisor passes on the settings: its children are the service itself."""
    started = {}
    for path in SOURCES.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            if ast.unparse(node.func.value) == "subprocess" and node.func.attr in STARTERS:
                chosen = {word.arg: ast.unparse(word.value) for word in node.keywords}
                started[path.relative_to(SOURCES).as_posix()] = chosen.get("env")
    assert started.pop("cli/supervisor.py") == "environment"
    assert started
    assert set(started.values()) <= {
        "python.SINGLE_THREADED",
        "python.engine_environment()",
        "engine_environment()",
    }
