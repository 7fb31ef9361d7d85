"""The programs on the page of a new key, run as shown."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from databases import only_sqlite
from processes import SONG, running
from visitors import Visitor, person

pytestmark = only_sqlite

STEMS = {"bass", "drums", "other", "vocals"}
KEYS = "/settings/developer/keys"


@pytest.fixture
def page(settings: Settings, database: Database, server_secrets: Secrets) -> Iterator[str]:
    """The page of a newly created key, while the service runs."""
    ada = person(database, server_secrets, "ada@example.org")
    with running(settings) as service, service.api() as client:
        service.start("worker")
        visitor = Visitor(client)
        visitor.sign_in(ada.email)
        found = re.search(r'name="id" value="(key_\w+)"', visitor.get(f"{KEYS}/new").text)
        assert found
        scopes = ["uploads:write", "splits:read", "splits:write"]
        made = visitor.post(KEYS, {"id": found[1], "scope": scopes})
        assert made.status_code == 200
        yield made.text


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A working folder with a song."""
    shutil.copy(SONG, tmp_path / "song.mp3")
    return tmp_path


def snippet(page: str, name: str) -> str:
    """Return the text that the copy button beside it copies."""
    found = re.search(rf'id="snippet-{name}"[^>]*>(.*?)</(?:pre|code)>', page, re.DOTALL)
    assert found
    return unescape(re.sub("<[^>]*>", "", found[1])).strip() + "\n"


def run(page: str, command: str, folder: Path, **more: str) -> str:
    """Return the output of a command in a shell that exports the key first, as the page says."""
    script = snippet(page, "export") + command
    ours = {
        name: value for name, value in os.environ.items() if not name.startswith("AISTEMSPLITTER_")
    }
    done = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", script],
        cwd=folder,
        env={**ours, **more},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python(page: str, folder: Path) -> None:
    """Uses the SDK that the page's own command installs from the service."""
    found = re.search(r'<code id="install-python">pip (install [^<]+)</code>', page)
    assert found
    assert re.search(r"/sdk/aistemsplitter-[\d.]+-py3-none-any\.whl$", found[1])
    pip = [sys.executable, "-m", "pip", *found[1].split(), "--no-deps", "--target", "installed"]
    subprocess.run([*pip, "--quiet"], cwd=folder, check=True)
    (folder / "split.py").write_text(snippet(page, "python"))
    printed = run(page, f"{sys.executable} split.py", folder, PYTHONPATH=str(folder / "installed"))
    assert {*printed.split()} == STEMS
    assert {path.stem for path in (folder / "stems").iterdir()} == STEMS


def test_node(page: str, folder: Path, published_node: Path) -> None:
    (folder / "node_modules").symlink_to(published_node / "node_modules")
    (folder / "split.mjs").write_text(snippet(page, "node"))
    printed = run(page, "node split.mjs", folder)
    assert printed.startswith("succeeded")
    assert all(f"{stem}: 'http" in printed for stem in STEMS)


def test_curl(page: str, folder: Path) -> None:
    for tool in ("curl", "jq"):
        if shutil.which(tool) is None:
            pytest.skip(f"no {tool} here")
    printed = run(page, snippet(page, "curl"), folder)
    assert "event: " in printed
    assert {*json.loads(printed[printed.rindex("\n{") :])} == STEMS
