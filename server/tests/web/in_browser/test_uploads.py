"""Uploads in the studio that fail or are refused, in a real browser."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Locator, Page, Request, Route, expect

from aistemsplitter_server.accounts import sign_ins
from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits.tables import Split
from player_pages import session_of, sign_in, signed_in_page
from processes import SONG
from visitors import person


@pytest.fixture
def studio(page: Page) -> Page:
    """Ada's studio."""
    page.goto("/studio")
    return page


def split(page: Page, *files: Path) -> Locator:
    """Choose files and split them; return the first row of the list."""
    page.locator("#files").set_input_files(files)
    page.locator("[value=htdemucs_tiny]").check()
    page.locator("#go").click()
    return page.locator("#songs .song").first


def test_an_upload_that_was_cut_off_can_be_tried_again(page: Page) -> None:
    page.clock.install()
    page.goto("/studio")
    sent: list[str | None] = []

    def cut(route: Route) -> None:
        """Forward the first part, then fail, as often as it is tried."""
        request = route.request
        sent.append(request.headers.get("content-range"))
        if len(sent) == 1:
            body = SONG.read_bytes()
            part = body[: len(body) * 3 // 10]
            answer = httpx2.put(
                request.url,
                content=part,
                headers={
                    "Content-Type": request.headers["content-type"],
                    "Content-Range": f"bytes 0-{len(part) - 1}/{len(body)}",
                },
                trust_env=False,
                timeout=60,
            )
            assert answer.status_code == 308
        route.abort("connectionreset")

    page.route("**/uploads/upl_*", cut)
    row = split(page, SONG)
    expect(row).to_contain_text("Connection lost. Trying again…")
    alert = row.get_by_role("alert")
    again = row.get_by_role("button", name=f"Try {SONG.name} again")
    while not again.is_visible():
        page.clock.run_for(20_000)
    expect(alert).to_have_text("The connection to the server was lost. Check it, then try again.")
    page.unroute_all()
    page.on("request", lambda request: sent.append(request.headers.get("content-range")))
    again.click()
    expect(row).to_have_attribute("data-live", "")  # it is queued
    size = SONG.stat().st_size
    assert f"bytes {size * 3 // 10}-{size - 1}/{size}" in sent, "it is resumed"


def test_a_song_survives_an_expired_session(
    studio: Page, database: Database, server_secrets: Secrets, ada: Person
) -> None:
    with database.write() as session:
        sign_ins.end_all(session, ada.id)
    row = split(studio, SONG)
    alert = row.get_by_role("alert")
    expect(alert).to_contain_text("You’ve been signed out.")
    expect(alert.get_by_role("link", name="Sign in")).to_have_attribute("target", "_blank")
    sign_in(studio.context, session_of(database, server_secrets, ada))
    row.get_by_role("button", name=f"Try {SONG.name} again").click()
    expect(row).to_have_attribute("data-live", "")  # it is queued


def test_failures_are_sentences_in_the_language_of_the_page(
    browser: Browser, base: str, session_token: str, tmp_path: Path
) -> None:
    noise = tmp_path / "holiday.mp3"
    noise.write_bytes(b"this is no audio" * 1000)
    with signed_in_page(browser, base, session_token, locale="zh-TW") as page:
        page.goto("/studio")
        page.route("**/studio/uploads", lambda route: route.abort("connectionrefused"))
        row = split(page, noise)
        alert = row.get_by_role("alert")
        expect(alert).to_have_text("與伺服器的連線中斷。請檢查連線後再試一次。")
        page.unroute_all()
        row.get_by_role("button", name=f"重試 {noise.name}").click()
        expect(alert).to_have_text("這不是可以讀取的音訊檔。")
        expect(row.get_by_role("button", name=f"重試 {noise.name}")).to_be_hidden()


def test_the_buttons_of_a_failed_upload_line_up_with_those_of_songs(
    song: Split, studio: Page
) -> None:
    studio.route("**/studio/uploads", lambda route: route.abort("connectionrefused"))
    row = split(studio, SONG)
    expect(row.get_by_role("button", name="Try")).to_be_visible()
    edges = [
        box["x"] + box["width"]
        for each in (row, studio.locator(f"#{song.id}"))
        if (box := each.locator(".actions").bounding_box())
    ]
    assert edges[0] == pytest.approx(edges[1], abs=1)


def test_nothing_is_sent_that_the_balance_does_not_cover(
    browser: Browser, base: str, database: Database, server_secrets: Secrets
) -> None:
    eve = person(database, server_secrets, "poor@example.org", free_seconds=5)
    token = session_of(database, server_secrets, eve)
    with signed_in_page(browser, base, token) as page:
        page.goto("/studio")
        page.locator("#files").set_input_files(SONG)
        page.locator("[value=htdemucs_tiny]").check()
        shortage = page.get_by_text("Not enough minutes left: this needs 0:15 more.")
        expect(shortage).to_be_visible()
        expect(page.locator("#go")).to_be_disabled()
        page.get_by_role("button", name=f"Remove {SONG.name}").click()
        expect(shortage).to_be_hidden()


def test_the_operator_adds_minutes_with_a_click(
    browser: Browser, base: str, database: Database, server_secrets: Secrets
) -> None:
    owner = person(database, server_secrets, "owner@example.org", owner=True, free_seconds=5)
    token = session_of(database, server_secrets, owner)
    with signed_in_page(browser, base, token) as page:
        page.goto("/studio")
        page.locator("#files").set_input_files(SONG)
        page.locator("[value=htdemucs_tiny]").check()
        page.get_by_role("button", name="Add 1 minute").click()
        expect(page.locator("#balance")).to_have_text("1:05")
        expect(page.locator("#go")).to_be_enabled()
        expect(page.locator("#go")).to_be_focused()


@pytest.mark.parametrize(
    ("url", "site"),
    [
        ("https://www.youtube.com/watch?v=dQw4w9WgXcQ", "YouTube"),
        ("https://youtu.be/dQw4w9WgXcQ", "YouTube"),
        ("https://drive.google.com/file/d/1AbC/view?usp=sharing", "Google Drive"),
    ],
)
def test_links_to_pages_are_refused_at_once(studio: Page, url: str, site: str) -> None:
    asked: list[Request] = []
    studio.on("request", lambda request: asked.append(request))
    field = studio.get_by_label("Link to an audio file")
    field.fill(url)
    field.press("Enter")
    expect(studio.get_by_role("alert")).to_contain_text(f"A link to {site} leads to a page")
    expect(studio.locator("#pending li")).to_have_count(0)
    assert not [each.url for each in asked if "/studio/" in each.url]
    field.fill("https://music.example/song.mp3")
    field.press("Enter")
    expect(studio.get_by_role("alert")).to_be_hidden()
    expect(studio.locator("#pending li")).to_have_count(1)
