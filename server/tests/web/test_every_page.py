"""Checks of every page, in a real browser, on a service that has been used."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, ViewportSize

import databases
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.web.texts import LANGUAGES
from browsers import enter
from states import STATES, shown
from tour import NOT_SIGNED_IN, OWNER, Tour, tour

PHONE: ViewportSize = {"width": 390, "height": 844}
Scheme = Literal["light", "dark"]
SCHEMES: tuple[Scheme, ...] = ("light", "dark")


@pytest.fixture(scope="module")
def toured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tour]:
    """The service and its pages."""
    settings = Settings(data=tmp_path_factory.mktemp("tour") / "data")
    databases.migrate_up(settings.database)
    with tour(settings) as found:
        yield found


@pytest.fixture
def pages(browser: Browser, toured: Tour) -> Iterator[dict[str, Page]]:
    """A signed-in page and a signed-out one, by the names of the pages that they open."""
    stranger = browser.new_context(base_url=toured.base_url, reduced_motion="reduce")
    owner = browser.new_context(base_url=toured.base_url, reduced_motion="reduce")
    anyone, theirs = stranger.new_page(), owner.new_page()
    enter(theirs, OWNER)
    yield {name: anyone if name in NOT_SIGNED_IN else theirs for name in toured.pages}
    stranger.close()
    owner.close()


def test_accessibility(pages: dict[str, Page], toured: Tour) -> None:
    """axe-core finds no serious violation, in light and dark mode."""
    found = []
    for name, path in toured.pages.items():
        page = pages[name]
        page.goto(path)
        found += [(name, *violation) for violation in violations(page, "light")]
        # The mode only changes colors.
        found += [(name, *violation) for violation in violations(page, "dark", ["color-contrast"])]
    assert not found


def violations(
    page: Page, scheme: Scheme, rules: Sequence[str] | None = None
) -> Iterator[tuple[str, ...]]:
    """Yield axe-core's serious findings on a page, each with the mode and the elements.

    Args:
        rules: Rules to check; all by default.
    """
    options = {"resultTypes": ["violations"], **({"runOnly": rules} if rules else {})}
    page.emulate_media(color_scheme=scheme)
    for violation in Axe().run(page, options=options).response["violations"]:
        if violation["impact"] in ("serious", "critical"):
            nodes = [node["html"][:120] for node in violation["nodes"][:3]]
            yield scheme, violation["id"], *nodes


def test_states_that_no_url_shows(pages: dict[str, Page], toured: Tour) -> None:
    """They are accessible, and do not scroll sideways on a phone."""
    found: list[tuple[str, ...]] = []
    schemes = itertools.cycle(SCHEMES)
    for name in STATES:
        scheme = next(schemes)  # one each, as axe-core takes seconds
        with shown(pages["studio"].context, toured, name) as page:
            found += [(name, *violation) for violation in violations(page, scheme)]
            page.set_viewport_size(PHONE)
            if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
                found.append((name, "too wide for a phone"))
    assert not found


def test_the_browser_reports_no_errors(pages: dict[str, Page], toured: Tour) -> None:
    """No violation of the policy, no script error, no missing file, no request to another host."""
    complaints: list[tuple[str, str]] = []
    asked: set[str] = set()
    current = ""
    for page in {id(page): page for page in pages.values()}.values():
        page.on(
            "console", lambda said: said.type == "error" and complaints.append((current, said.text))
        )
        page.on("pageerror", lambda error: complaints.append((current, str(error))))
        page.on("request", lambda request: asked.add(request.url))
    for current, path in toured.pages.items():  # used by the handlers
        pages[current].goto(path, wait_until="load")
    expected = "the server responded with a status of 404"  # the 404 page
    assert [each for each in complaints if expected not in each[1] or each[0] != "nothing"] == []
    assert asked
    ours = (toured.base_url, toured.base_url.replace("localhost", "127.0.0.1"), "data:", "blob:")
    assert not {url for url in asked if not url.startswith(ours)}


def test_no_horizontal_scrolling_on_a_phone(pages: dict[str, Page], toured: Tour) -> None:
    wide = []
    for name, path in toured.pages.items():
        page = pages[name]
        page.set_viewport_size(PHONE)
        page.goto(path)
        excess = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if excess > 0:
            wide.append((name, excess))
    assert not wide


def test_every_page_is_translated(pages: dict[str, Page], toured: Tour) -> None:
    """The headings differ; other tests check that the texts are complete."""
    titles: dict[str, set[str]] = {}
    for language in LANGUAGES:
        for name, path in toured.pages.items():
            page = pages[name]
            page.context.add_cookies(
                [{"name": "language", "value": language, "url": toured.base_url}]
            )
            html = page.request.get(path, headers={"Accept": "text/html"}).text()
            head = re.search(r'<html[^>]* lang="([^"]+)".*?(<h1.*?</h1>)', html, re.DOTALL)
            assert head
            assert head[1] == language
            titles.setdefault(name, set()).add(head[2])
    songs = {"song", "shared", "failed-song"}  # their headings are names of objects
    shown = songs | {"delivery", "operator-account", "operator-suspended", "operator-split"}
    assert {name for name, each in titles.items() if len(each) < len(LANGUAGES)} <= shown
