"""The wheel and its dependencies are pure Python and small, and install with every usual tool."""

from __future__ import annotations

import re
import sys
import zipfile
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI  # no other variable for pip's index

from clients import KEY
from commands import make_venv, run
from loopback import Loopback

CLOSURE = Path(__file__).with_name("closure.txt")
HELLO = Path(__file__).parents[3] / "examples" / "hello_world.py"
STEMS = ["bass.wav", "drums.wav", "other.wav", "vocals.wav"]


def test_the_wheel_is_small_and_contains_only_the_package(wheel: Path) -> None:
    assert wheel.name.endswith("-py3-none-any.whl")
    assert wheel.stat().st_size < 200_000
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"aistemsplitter"}
    assert "aistemsplitter/py.typed" in names


def test_all_dependencies_are_pure_python(wheel: Path, tmp_path: Path) -> None:
    any_platform = ("--platform", "any", "--implementation", "py", "--abi", "none")
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:")
    run(*pip, *any_platform, "-c", CLOSURE, "-d", tmp_path, wheel)
    found = {path.name for path in tmp_path.iterdir()}
    assert all(re.search(r"-(py2\.)?py3-none-any\.whl$", name) for name in found)
    versions = {
        re.sub(r"[-_.]+", "-", name).lower() + "==" + version
        for name, version in (file.split("-")[:2] for file in found)
    } - {f"aistemsplitter=={wheel.name.split('-')[1]}"}
    pinned = {line for line in CLOSURE.read_text().splitlines() if not line.startswith("#")}
    assert versions == pinned


@pytest.fixture
def project(tmp_path: Path, loopback: Loopback) -> Path:
    """An empty folder, with a running service."""
    loopback.service._streams = True
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def check_hello_world(loopback: Loopback, project: Path, *python: object, **more: str) -> None:
    """Check that Hello World runs and downloads the stems."""
    run(
        *python,
        HELLO,
        "https://example.com/song.mp3",
        "stems",
        cwd=project,
        AISTEMSPLITTER_BASE_URL=loopback.url,
        AISTEMSPLITTER_API_KEY=KEY,
        **more,
    )
    assert sorted(path.name for path in (project / "stems").iterdir()) == STEMS


def test_pip(wheel: Path, project: Path, loopback: Loopback) -> None:
    python = make_venv(project / "venv") / "python"
    run(python, "-m", "pip", "install", "--quiet", wheel)
    check_hello_world(loopback, project, python)


def test_uv(wheel: Path, tools: Path, project: Path, loopback: Loopback) -> None:
    uv = tools / "uv"
    own = {"UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": ""}
    run(uv, "init", "--bare", "--quiet", cwd=project, **own)
    run(uv, "add", "--quiet", wheel, cwd=project, **own)
    check_hello_world(loopback, project, uv, "run", "python", **own)


def test_poetry(wheel: Path, tools: Path, project: Path, loopback: Loopback) -> None:
    poetry = tools / "poetry"
    own = {
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        "POETRY_CONFIG_DIR": str(project / "config"),
        "POETRY_KEYRING_ENABLED": "false",
        "VIRTUAL_ENV": "",
    }
    run(poetry, "init", "-n", "--name", "p", "--python", ">=3.11,<4", cwd=project, **own)
    # Through the simple API that pip uses: mirrors lack the JSON API that Poetry uses by default.
    source = ("source", "add", "--priority", "primary", "index", PyPI.simple_url)
    run(poetry, *source, cwd=project, **own)
    run(poetry, "add", "--no-interaction", "--quiet", wheel, cwd=project, **own)
    check_hello_world(loopback, project, poetry, "run", "python", **own)
