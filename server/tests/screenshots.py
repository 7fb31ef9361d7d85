"""Screenshots of every page, light and dark, on a desktop and a phone: ``make screenshots``.

Look at each before a change of the pages lands.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, sync_playwright
from rich.progress import track

import databases
from aistemsplitter_server.kit.settings import Settings
from browsers import FLAGS, chromium, enter
from tour import NOT_SIGNED_IN, OWNER, Tour, tour

OUT = Path("out/screenshots")
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True},
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
            if (name in NOT_SIGNED_IN) == stranger:
                page.goto(path)
                page.wait_for_timeout(SETTLED)
                page.screenshot(path=OUT / f"{name}-{look}.png", full_page=True)
        if not stranger:  # the only page that is reached by a form
            page.goto(found.pages["new-key"])
            page.locator("[name=name]").fill("pictures")
            page.locator("main button.primary").click()
            page.screenshot(path=OUT / f"made-key-{look}.png", full_page=True)
        context.close()


if __name__ == "__main__":
    main()
