"""Every code block of the documentation runs, as a reader would run it; the site builds and calls
nobody.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from aistemsplitter import __version__
from ports import free_port
from real_service import RealService

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WHEEL = re.compile(r"aistemsplitter-[\w.-]+\.whl")
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def _blocks() -> list[object]:
    found: list[object] = []
    for page in sorted(DOCS.rglob("*.md")):
        for index, (language, code) in enumerate(BLOCK.findall(page.read_text()), 1):
            name = f"{page.relative_to(DOCS).as_posix()}-{index}-{language}"
            found.append(pytest.param(language, code, id=name))
    return found


@pytest.fixture
def place(tmp_path: Path, mp3: Path) -> Path:
    """A reader's folder: a song, and the checkout."""
    shutil.copy(mp3, tmp_path / "song.mp3")
    for package in ("engine", "sdk", "server"):
        (tmp_path / package).symlink_to(ROOT / package)
    return tmp_path


@pytest.mark.parametrize(("language", "code"), _blocks())
def test_block(language: str, code: str, place: Path, service: RealService) -> None:
    environment = service.environment
    environment["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    match language:
        case "json":
            json.loads(code)
        case "python":
            (place / "test_block.py").write_text(code)
            runner = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "def test_" in code else []
            run([sys.executable, *runner, "test_block.py"], environment, place)
        case "console":
            commands = re.findall(r"^\$ (.+)$", code, re.MULTILINE)
            assert commands, "no line begins with $"
            for command in commands:
                console(command, environment, place)
        case _:
            pytest.fail(f"nothing runs blocks in {language!r}")


def console(command: str, environment: dict[str, str], place: Path) -> None:
    """Run one line; what would install is only resolved, and what would stay is stopped again."""
    command = command.replace(
        "pip install", f"{sys.executable} -m pip install -q --dry-run --no-deps"
    ).replace("http://127.0.0.1:8000", environment["AISTEMSPLITTER_BASE_URL"])
    if command.startswith("aistemsplitter-server up"):
        return stays(command, environment, place)
    if command.startswith("curl") and not shutil.which("curl"):
        pytest.skip("no curl here")
    return run(["bash", "-ec", command], {**environment, **own_server(place)}, place)


def own_server(place: Path, port: int = 0) -> dict[str, str]:
    """Settings of a server that belongs to this reader alone."""
    names = {"DATA": str(place / "data"), "OFFLINE": "true", "PORT": str(port)}
    return {f"AISTEMSPLITTER_SERVER_{name}": value for name, value in names.items()}


def stays(command: str, environment: dict[str, str], place: Path) -> None:
    """Start the service, see it ready, stop it."""
    port = free_port()
    with (place / "log").open("wb") as log:
        running = subprocess.Popen(
            command.split(),
            cwd=place,
            env={**environment, **own_server(place, port)},
            stdout=log,
            stderr=log,
        )
        try:
            end = time.monotonic() + 180
            while not ready(port):
                assert running.poll() is None, (place / "log").read_text()
                assert time.monotonic() < end, (place / "log").read_text()
                time.sleep(0.1)
        finally:
            running.terminate()
            running.wait(60)
    assert "API key" in (place / "log").read_text()


def ready(port: int) -> bool:
    """Whether the service on this port is."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
            return True
    except OSError:
        return False


def run(command: list[str], environment: dict[str, str], place: Path) -> None:
    """Run what has to end well."""
    done = subprocess.run(
        command, env=environment, cwd=place, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_wheel_that_is_named_is_the_current_one() -> None:
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md")]
    named = {found for page in pages for found in WHEEL.findall(page.read_text())}
    assert named == {f"aistemsplitter-{__version__}-py3-none-any.whl"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a link that leads nowhere fails it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    run(command, {**os.environ, "NO_MKDOCS_2_WARNING": "1"}, ROOT)
    return folder


def test_pages_request_nothing_of_other_hosts(site: Path) -> None:
    loading = re.compile(
        r"<(?:script|img|iframe|source|audio|video|embed)\b[^>]*\bsrc=[\"']?(?:https?:)?//[^>]*>"
        r"|<link\b[^>]*rel=[\"']?(?:stylesheet|preconnect|preload|icon)[^>]*href=[\"']?(?:https?:)?//[^>]*>"
    )
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        assert not loading.findall(page.read_text()), page
    for style in site.rglob("*.css"):
        assert not re.findall(r"@import\s+[\"']?http|url\([\"']?(?:https?:)?//", style.read_text())


def test_reference_names_what_there_is(site: Path) -> None:
    client = (site / "reference" / "sdk" / "index.html").read_text()
    assert "wait_for_split" in client
    assert "Follows the server" in client
    rest = re.sub("<[^>]+>", "", (site / "reference" / "rest" / "index.html").read_text())
    for path in json.loads((DOCS / "openapi.json").read_text())["paths"]:
        assert path in rest
