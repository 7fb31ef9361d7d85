"""Documentation: each page's code blocks run in order, and the site builds.

The blocks of a page run in one folder and one shell. The site's pages request nothing from other
hosts.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from aistemsplitter import __version__
from browsers import FLAGS, chromium
from cli_reference import reference
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
    """Readers of the quickstart have only what it tells them to set up; others have a service."""
    give_song(tmp_path, mp3, ROOT)
    if "aistemsplitter-server up" in page.read_text():
        environment = without_settings()
    else:
        service: RealService = request.getfixturevalue("service")
        environment = service.environment
    with reader(tmp_path, environment) as someone:
        someone.read(page)


def run(command: list[str], environment: dict[str, str], place: Path) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(
        command, env=environment, cwd=place, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_reference_of_the_commands_is_current() -> None:
    page = (DOCS / "reference" / "cli.md").read_text()
    assert page == reference(), "python examples/tests/cli_reference.py > docs/reference/cli.md"


def test_every_named_wheel_has_the_current_version() -> None:
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("*/README.md")]
    named = {found for page in pages for found in WHEEL.findall(page.read_text())}
    assert named == {f"aistemsplitter-{__version__}-py3-none-any.whl"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a broken link fails the build."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    run(command, {**os.environ, "NO_MKDOCS_2_WARNING": "1"}, ROOT)
    return folder


def test_pages_request_nothing_from_other_hosts(site: Path) -> None:
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


@pytest.mark.skipif(chromium() is None, reason="no Chromium here")
def test_copy_button_copies_commands_without_prompts(site: Path) -> None:
    handler = partial(QuietHandler, directory=str(site))
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        sync_playwright() as playwright,
    ):
        threading.Thread(target=server.serve_forever).start()
        browser = playwright.chromium.launch(executable_path=chromium(), args=[*FLAGS])
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{server.server_address[1]}/quickstart/")
        page.locator(".language-console").first.hover()
        button = page.locator(".language-console [data-clipboard-target]").first
        button.click()
        copied = button.get_attribute("data-clipboard-text")
        browser.close()
        server.shutdown()
    assert copied == "pip install ./engine ./server './sdk[cli]'\naistemsplitter-server up --demo"


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


def test_reference_begins_with_splits(site: Path) -> None:
    page = (site / "reference" / "rest" / "index.html").read_text()
    contents = re.findall(r'<a href="#([^"]+)" class="md-nav__link"', page)
    assert contents.index("splits") < contents.index("get-healthz")
    assert "get-v1credits" in contents


def test_long_signatures_are_wrapped(site: Path) -> None:
    page = re.sub("<[^>]+>", "", (site / "reference" / "sdk" / "index.html").read_text())
    assert re.search(r"create_split\(\n +input: [^\n]+\n", page)


def test_reference_contains_every_public_name(site: Path) -> None:
    client = (site / "reference" / "sdk" / "index.html").read_text()
    assert "wait_for_split" in client
    assert "Follows the server" in client
    rest = re.sub("<[^>]+>", "", (site / "reference" / "rest" / "index.html").read_text())
    for path in json.loads((DOCS / "openapi.json").read_text())["paths"]:
        assert path in rest
