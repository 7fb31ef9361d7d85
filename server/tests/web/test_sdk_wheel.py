"""The SDK's wheel as served from a checkout; ``packaging/`` tests that of a built package."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import httpx2

from aistemsplitter_server.web import sdk_wheel
from databases import only_sqlite

pytestmark = only_sqlite

VERSION = metadata.version("aistemsplitter")
URL = f"/sdk/aistemsplitter-{VERSION}-py3-none-any.whl"


def test_the_wheel_installs(client: httpx2.Client, tmp_path: Path) -> None:
    folder = tmp_path / "installed"
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    subprocess.run([*command, str(client.base_url.join(URL))], check=True)
    (installed,) = metadata.distributions(name="aistemsplitter", path=[str(folder)])
    assert installed.version == VERSION
    assert "cli" in (installed.metadata.get_all("Provides-Extra") or [])
    assert "aistemsplitter" in {entry.name for entry in installed.entry_points}
    imported = [sys.executable, "-c", "import aistemsplitter as a; print(a.__file__)"]
    printed = subprocess.check_output(imported, env={"PYTHONPATH": str(folder)}, text=True)
    assert Path(printed.strip()).is_relative_to(folder)


def test_the_wheels_record_is_correct(client: httpx2.Client) -> None:
    answer = client.get(URL)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    assert not [name for name in contents if "__pycache__" in name or name.endswith(".pyc")]
    record = contents.pop(f"aistemsplitter-{VERSION}.dist-info/RECORD").decode()
    rows = {name: (digest, size) for name, digest, size in csv.reader(io.StringIO(record)) if size}
    assert rows == {
        name: (
            "sha256="
            + base64.urlsafe_b64encode(hashlib.sha256(body).digest()).decode().rstrip("="),
            str(len(body)),
        )
        for name, body in contents.items()
    }


def test_the_wheel_is_reproducible(client: httpx2.Client) -> None:
    first = client.get(URL).content
    sdk_wheel.wheel.cache_clear()
    assert client.get(URL).content == first


def test_other_file_names_are_not_found(client: httpx2.Client) -> None:
    other = "/sdk/aistemsplitter-0.0.1-py3-none-any.whl"
    assert client.get(other).status_code == client.get("/sdk/..%2fapp.py").status_code == 404
