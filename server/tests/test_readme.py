"""The README's settings and commands, and its walkthrough run as written."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aistemsplitter_server.cli.commands import app
from aistemsplitter_server.kit.settings import PREFIX, Settings
from ports import free_port
from processes import SONG, SONGS, until

README = (Path(__file__).parents[1] / "README.md").read_text()
BINARIES = Path(sys.executable).parent
MISSING = [tool for tool in ("bash", "curl", "jq") if shutil.which(tool) is None]


def test_settings() -> None:
    """Names, defaults and descriptions, in order."""
    table = README.split("| `AISTEMSPLITTER_SERVER_` | default | |\n| --- | --- | --- |\n")[1]
    fields = Settings.model_fields.items()
    rows = [f"| `{name.upper()}` | {written(f.default)} | {f.description} |" for name, f in fields]
    assert table.split("\n\n")[0].splitlines() == rows


def written(value: object) -> str:
    """Return a default as the table shows it."""
    if value in (None, ""):
        return "none"
    if isinstance(value, bool):
        return str(value).lower()
    return f"`{list(value)}`" if isinstance(value, tuple) else f"`{value}`"


def test_commands() -> None:
    """The table contains every command, and no other."""
    table = README.split("\n## Commands\n")[1].split("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    named = set()
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        group = first.split()[0] if " " in first else ""
        named |= {first} | {f"{group} {other}".strip() for other in others}
    there = {command.name or command.callback.__name__ for command in app.registered_commands}
    for group in app.registered_groups:
        commands = group.typer_instance.registered_commands
        there |= {
            f"{group.name} {command.name or command.callback.__name__}" for command in commands
        }
    assert named == there - {"openapi"}  # a command for contributors only


@pytest.fixture
def song_url() -> Iterator[str]:
    """The URL of a song on another server."""
    handler = partial(_Quiet, directory=str(SONGS))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/{SONG.relative_to(SONGS)}"
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
def test_the_walkthrough(tmp_path: Path, song_url: str) -> None:
    port, receiver = str(free_port()), str(free_port())
    (tmp_path / "songs").symlink_to(SONGS)
    assert "$ aistemsplitter-server up --demo\n" in README
    environment = {
        **os.environ,
        "PATH": f"{BINARIES}:{os.environ['PATH']}",
        PREFIX + "ALLOW_PRIVATE_NETWORKS": "127.0.0.1/32",
    }
    run: dict[str, Any] = {"cwd": tmp_path, "env": environment}
    with (tmp_path / "up.txt").open("w") as output, (tmp_path / "up.log").open("w") as log:
        up = subprocess.Popen(
            ["aistemsplitter-server", "up", "--demo", "--offline", "--port", port],
            stdout=output,
            stderr=log,
            **run,
        )
    try:
        until(lambda: "is ready" in (tmp_path / "up.log").read_text())
        ready = ["curl", "-fsS", "--retry", "60", "--retry-all-errors", "--retry-delay", "1"]
        ready += [f"http://127.0.0.1:{port}/readyz"]
        subprocess.run(ready, check=True, capture_output=True)
        script = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL))
        for there, here in (
            ("127.0.0.1:8000", f"127.0.0.1:{port}"),
            ("4242", receiver),
            ("https://example.com/song.mp3", song_url),
        ):
            assert there in script
            script = script.replace(there, here)
        # The receiver runs before the first delivery is attempted, and is stopped at the end.
        script = "set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n" + script
        script += "\nuntil [ -s deliveries.jsonl ]; do sleep 0.1; done\n"
        done = subprocess.run(
            ["bash", "-c", script], capture_output=True, text=True, timeout=300, **run
        )
        assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "up.log").read_text()
    finally:
        up.terminate()
        assert up.wait(60) == 0

    assert '{"balance":600,"unit":"seconds"}' in done.stdout
    shown = json.loads((tmp_path / "done.json").read_text())["data"]
    assert (shown["status"], shown["servedBy"]) == ("succeeded", "htdemucs_tiny")
    for stem in ("drums", "bass", "other", "vocals"):
        assert (tmp_path / f"{stem}.wav").read_bytes()[:4] == b"RIFF"
    (delivery,) = (tmp_path / "deliveries.jsonl").read_text().splitlines()
    assert '"split.succeeded"' in delivery
    assert '"17"' in delivery
    first, *_ = (tmp_path / "up.txt").read_text().splitlines()
    assert first == f"Base URL        http://127.0.0.1:{port}/v1"
    printed = (tmp_path / "up.txt").read_text()
    sample = README.split("$ aistemsplitter-server up --demo\n")[1].split("```")[0]
    assert _labels(sample) == _labels(printed)


def _labels(text: str) -> list[str]:
    return re.findall(r"^(?:export \w+=|[A-Z]\S*(?: \S+)?  )", text, re.MULTILINE)
