"""The server's wheel contains and serves the checkout's wheel of the SDK, and has all texts."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from aistemsplitter_server import __file__ as package

SERVER = Path(__file__).parents[2]
SHOW = """
import sys
from aistemsplitter_server.web import sdk_wheel
found = sdk_wheel.wheel()
print(found.filename, sdk_wheel.install_command("https://host"), file=sys.stderr)
sys.stdout.buffer.write(found.content)
"""
TITLES = """
from aistemsplitter_server.web import texts
print(*(texts.of(language)("studio.title") for language in texts.LANGUAGES), sep="\\n")
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server as ``pip install ./server`` installs it."""
    folder = tmp_path_factory.mktemp("installed")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", folder]
    done = subprocess.run([*command, SERVER], capture_output=True, text=True)
    if done.returncode and "CI" not in os.environ:
        pytest.skip(f"no package index: {done.stderr}")
    assert done.returncode == 0, done.stderr
    return folder


def test_the_contained_wheel_is_served(installed: Path) -> None:
    assert not Path(package).is_relative_to(installed)
    (wheel,) = (installed / "aistemsplitter_server" / "sdk").glob("aistemsplitter-*.whl")
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", SHOW], env=environment, capture_output=True)
    expected = f"{wheel.name} pip install https://host/sdk/{wheel.name}\n"
    assert done.stderr.decode() == expected
    assert done.stdout == wheel.read_bytes()
    with zipfile.ZipFile(BytesIO(done.stdout)) as archive:
        assert "aistemsplitter/__init__.py" in archive.namelist()


def test_it_has_the_texts_of_all_languages(installed: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONUTF8": "1"}
    done = subprocess.run([sys.executable, "-c", TITLES], env=environment, capture_output=True)
    assert done.stdout.decode() == "Split a song\n分離歌曲\n", done.stderr
