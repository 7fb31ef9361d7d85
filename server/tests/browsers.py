"""Chromium, the browser for the tests of the pages."""

from __future__ import annotations

import shutil

from playwright.sync_api import Page

from visitors import PASSWORD

# The last four stop its frequent requests to its vendor's servers.
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
    """Sign a user in by the form, in any language, and open a page."""
    page.goto(f"{base}/sign-in?next={there}")
    page.locator("[name=email]").fill(email)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main form button").click()
    page.wait_for_url(f"**{there}")


def chromium() -> str | None:
    """Return the path of Chromium, or None if it is not installed."""
    return shutil.which("chromium") or shutil.which("google-chrome")
