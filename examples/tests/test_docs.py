"""Every page of the documentation works as one reader would use it: its blocks run in order, in one
folder and one shell. The site builds, and its pages request nothing of other hosts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from aistemsplitter import __version__
from reader import blocks, give_song, reader, without_settings
from real_service import RealService

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
WHEEL = re.compile(r"aistemsplitter-[\w.-]+\.whl")
PAGES = [path for path in sorted(DOCS.rglob("*.md")) if blocks(path)]


def _name(page: Path) -> str:
    return page.relative_to(DOCS).as_posix()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_page(page: Path, tmp_path: Path, mp3: Path, request: pytest.FixtureRequest) -> None:
    """Readers of the quickstart have nothing but what it tells them to set up; the others do."""
    give_song(tmp_path, mp3, ROOT)
    if "aistemsplitter-server up" in page.read_text():
        environment = without_settings()
    else:
        service: RealService = request.getfixturevalue("service")
        environment = service.environment
    with reader(tmp_path, environment) as someone:
        someone.read(page)


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
