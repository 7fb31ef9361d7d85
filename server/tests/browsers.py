"""The browser that the pages are tried in: Debian's Chromium."""

from __future__ import annotations

import shutil

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


def chromium() -> str | None:
    """Where it is; None where there is none."""
    return shutil.which("chromium") or shutil.which("google-chrome")
