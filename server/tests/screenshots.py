"""Screenshots of every page and state, light and dark, desktop and phone: ``make screenshots``.

Look at each before a change of the pages lands. Names of pages as arguments (``make screenshots
ARGS="song studio"``) take only those that begin with one of them.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from rich.progress import track

import databases
from aistemsplitter_server.kit.settings import Settings
from browsers import FLAGS, chromium, enter
from states import STATES, shown
from tour import NOT_SIGNED_IN, OWNER, Tour, tour

OUT = Path("out/screenshots")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "zh": {"viewport": {"width": 1280, "height": 860}, "locale": "zh-TW"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
    "landscape": {"viewport": {"width": 844, "height": 390}, "has_touch": True, "is_mobile": True},
    "phone-zh": {
        "viewport": {"width": 390, "height": 844},
        "color_scheme": "dark",
        "locale": "zh-TW",
        "has_touch": True,
        "is_mobile": True,
    },
}
SETTLED = 400  # milliseconds for scripts to draw


def main() -> None:
    """Take all screenshots."""
    path = chromium()
    if path is None:
        sys.exit("No Chromium found. Install it: apt-get install chromium")
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = Settings(data=Path(folder) / "data")
        databases.migrate_up(settings.database)
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        with tour(settings) as found:
            for look in track(LOOKS, "Taking pictures"):
                _take(browser, found, look)
        browser.close()
    print(f"{len(list(OUT.iterdir()))} pictures are in {OUT}")


def _take(browser: Browser, found: Tour, look: str) -> None:
    for stranger in (True, False):
        context = browser.new_context(base_url=found.base_url, **LOOKS[look])
        page = context.new_page()
        if not stranger:
            enter(page, OWNER)
        for name, path in found.pages.items():
            if (name in NOT_SIGNED_IN) == stranger and _is_wanted(name):
                page.goto(path)
                page.wait_for_timeout(SETTLED)
                _picture(page, f"{name}-{look}")
        if not stranger:
            _take_states(context, found, look)
        if not stranger and _is_wanted("made-key"):  # the only page that is reached by a form
            page.goto(found.pages["new-key"])
            page.locator("[name=name]").fill("pictures")
            page.locator("main button.primary").click()
            _picture(page, f"made-key-{look}")
        context.close()


def _take_states(context: BrowserContext, found: Tour, look: str) -> None:
    for name in filter(_is_wanted, STATES):
        with shown(context, found, name) as page:
            page.wait_for_timeout(SETTLED)
            _picture(page, f"{name}-{look}")


def _is_wanted(name: str) -> bool:
    return name.startswith(tuple(sys.argv[1:]) or "")


def _picture(page: Page, name: str) -> None:
    """Take a picture of the whole page.

    Playwright's own ``full_page`` shows phones the page for a mouse, and sticky bars in its middle.
    """
    size = page.viewport_size
    assert size is not None
    height = page.evaluate("document.documentElement.scrollHeight")
    page.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    page.set_viewport_size({"width": size["width"], "height": max(height, size["height"])})
    page.wait_for_timeout(SETTLED)
    page.screenshot(path=OUT / f"{name}.png")
    page.set_viewport_size(size)


if __name__ == "__main__":
    main()
