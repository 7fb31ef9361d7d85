"""The studio as an app that browsers install."""

from __future__ import annotations

import struct

import httpx2
import pytest
from playwright.sync_api import Browser

from databases import only_sqlite
from visitors import Visitor


@pytest.mark.parametrize(("language", "short"), [("en", "Stems"), ("zh-TW", "分軌")])
def test_the_manifest(visitor: Visitor, language: str, short: str) -> None:
    answer = visitor.client.get("/manifest.webmanifest", headers={"Accept-Language": language})
    assert answer.headers["content-type"] == "application/manifest+json"
    manifest = answer.json()
    assert (manifest["short_name"], manifest["lang"]) == (short, language)
    assert manifest["start_url"] == "/studio"
    for icon in manifest["icons"]:
        file = visitor.client.get(icon["src"])
        assert file.headers["content-type"] == icon["type"]
        if icon["type"] == "image/png":
            width, height = struct.unpack(">II", file.content[16:24])
            assert icon["sizes"] == f"{width}x{height}"


@only_sqlite
def test_chromium_can_install_it(browser: Browser, client: httpx2.Client) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://localhost:{client.base_url.port}/sign-in")
    session = context.new_cdp_session(page)
    found = session.send("Page.getAppManifest")
    problems = session.send("Page.getInstallabilityErrors")["installabilityErrors"]
    context.close()
    assert found["errors"] == []
    # A window without history of its own is no obstacle for its users.
    assert [each for each in problems if each["errorId"] != "in-incognito"] == []
