"""The browser that the pages are tried in: Debian's Chromium."""

from __future__ import annotations

import shutil

from playwright.sync_api import Page

from visitors import PASSWORD

# Without the last four it asks its maker's servers for things all the time.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def enter(page: Page, email: str, *, there: str = "/studio", base: str = "") -> None:
    """Sign someone in by the form, in whatever language, and go on to a page."""
    page.goto(f"{base}/sign-in?next={there}")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main form button").click()
    page.wait_for_url(f"**{there}")


def chromium() -> str | None:
    """Where it is; None where there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome")
