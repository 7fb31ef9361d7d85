"""What surrounds the player on a song's page: sharing and keeping the song."""

from __future__ import annotations

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import select

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits.tables import Share, Split
from player_pages import PHONE, at, opened, signed_in_page
from processes import until
from visitors import Visitor

# Two frames later, everything is painted.
PAINTED = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"


def expire(database: Database, song: Split, left: timedelta) -> None:
    """Let a song's audio expire after some time."""
    with database.write() as session:
        session.get_one(Split, song.id).expires_at = times.now() + left


@pytest.mark.parametrize("look", ["desktop", "phone"])
def test_the_page_holds_still_while_it_loads(
    browser: Browser, base: str, session_token: str, song: Split, look: str
) -> None:
    options = {} if look == "desktop" else PHONE
    with signed_in_page(browser, base, session_token, **options) as page:
        page.add_init_script(
            """
            window.shift = 0;
            new PerformanceObserver((list) => {
              for (const { value } of list.getEntries()) window.shift += value;
            }).observe({ type: "layout-shift", buffered: true });"""
        )
        held: list[Route] = []
        page.route("**/player.json", lambda route: held.append(route))
        with page.expect_request("**/player.json"):
            page.goto(f"/studio/songs/{song.id}")
        page.wait_for_function(
            "() => performance.getEntriesByName('first-contentful-paint').length"
        )
        page.evaluate(PAINTED)
        held[0].continue_()
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
        page.evaluate(PAINTED)
        assert page.evaluate("shift") < 0.05


def test_a_link_is_created_without_leaving_the_page(
    page: Page, base: str, song: Split, database: Database
) -> None:
    opened(page, base, song)
    page.get_by_role("button", name="Mute Drums").click()
    page.get_by_label("Speed").select_option("0.5")
    page.get_by_role("button", name="Play", exact=True).click()
    until(lambda: at(page) > 0.1)
    share = page.get_by_role("region", name="Share")
    share.get_by_role("button", name="Create link").click()
    link = share.locator("code")
    expect(link).to_contain_text(f"{base}/shared/")
    expect(link).to_be_in_viewport()
    expect(share.get_by_role("button", name="Copy")).to_be_focused()
    expect(page.get_by_role("button", name="Mute Drums")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    share.get_by_role("button", name="Stop sharing").click()
    expect(link).to_have_count(0)
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    with database.read() as session:
        row = session.scalars(select(Share).where(Share.split_id == song.id)).one()
        assert row.expires_at == session.get_one(Split, song.id).expires_at


def test_a_link_can_be_read_on_a_phone(
    browser: Browser, base: str, session_token: str, song: Split
) -> None:
    with signed_in_page(browser, base, session_token, **PHONE) as page:
        opened(page, base, song)
        page.get_by_role("button", name="Create link").click()
        link = page.locator(".share-link code")
        expect(link).to_be_visible()
        assert link.evaluate("element => element.clientWidth") > PHONE["viewport"]["width"] * 0.7


@pytest.mark.parametrize("width", [320, 390])
def test_what_a_row_says_stays_apart_on_a_phone(
    browser: Browser, base: str, session_token: str, song: Split, database: Database, width: int
) -> None:
    expire(database, song, timedelta(hours=5, minutes=30))
    phone = {**PHONE, "viewport": {"width": width, "height": 844}}
    with signed_in_page(browser, base, session_token, **phone) as page:
        page.goto("/studio")
        row = page.locator(f"#{song.id}")
        boxes = row.locator(".badge, .deletion, button, a.button").evaluate_all(
            """elements => elements.map((element) => {
              const { left, right, top, bottom } = element.getBoundingClientRect();
              const line = parseFloat(getComputedStyle(element).lineHeight);
              return { left, right, top, bottom, isOneLine: bottom - top < 2 * line };
            })"""
        )
    assert len(boxes) == 5
    says, *others = (boxes.pop(1), *boxes)
    assert says["isOneLine"]
    for other in others:
        beside = says["right"] <= other["left"] or other["right"] <= says["left"]
        assert beside or says["bottom"] <= other["top"] + 1 or other["bottom"] <= says["top"] + 1


def test_a_link_lives_a_week_if_the_audio_does(
    page: Page, base: str, song: Split, database: Database
) -> None:
    days = page.get_by_label("Link expires")
    opened(page, base, song)
    expect(days.locator("option")).to_have_text(["After 1 day", "When the audio is deleted"])
    expect(days).to_have_value("0")
    expire(database, song, timedelta(days=20))
    opened(page, base, song)
    expect(days.locator("option:checked")).to_have_text("After 7 days")


def test_a_song_says_when_it_is_deleted_and_can_be_kept(
    page: Page, base: str, song: Split, database: Database
) -> None:
    opened(page, base, song)
    kept = page.locator("#kept")
    expect(kept).to_contain_text("Deleted in 2 days")
    kept.get_by_role("button", name="Keep").click()
    expect(kept).to_contain_text("Kept until")
    expect(kept.get_by_role("button")).to_have_count(0)
    with database.read() as session:
        expires_at = session.get_one(Split, song.id).expires_at
    assert expires_at is not None
    assert expires_at - times.now() > timedelta(days=364)


def test_the_studio_reminds_of_songs_that_are_deleted_soon(
    page: Page, song: Split, database: Database
) -> None:
    page.goto("/studio")
    row = page.locator(f"#{song.id}")
    expect(row).to_contain_text("Deleted in 2 days")
    reminder = page.get_by_text("1 song will be deleted within a day.")
    expect(reminder).to_have_count(0)
    expire(database, song, timedelta(hours=5, minutes=30))
    page.reload()
    expect(row).to_contain_text("Deleted in 5 hours")
    expect(reminder).to_be_visible()
    page.get_by_role("button", name="Keep it").click()
    expect(reminder).to_have_count(0)
    expect(row).to_contain_text("Kept until")


def test_a_song_can_be_kept_from_the_list(page: Page, song: Split) -> None:
    page.goto("/studio")
    row = page.locator(f"#{song.id}")
    row.get_by_role("button", name="Keep song.flac").click()
    expect(row).to_contain_text("Kept until")
    expect(row.get_by_role("button", name="Keep song.flac")).to_have_count(0)


def test_audio_that_is_deleted_cannot_be_kept(
    signed_in: Visitor, song: Split, database: Database
) -> None:
    expire(database, song, timedelta(hours=-1))
    assert signed_in.post(f"/studio/songs/{song.id}/keep").status_code == 409
