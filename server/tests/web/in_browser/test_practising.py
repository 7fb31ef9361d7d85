"""What a listener has set stays: across visits, tabs and the list of songs."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import remembering, service
from aistemsplitter_server.splits.tables import Split
from customers import Customer
from player_pages import at, opened, session_of, signed_in_page
from processes import SONG, until
from visitors import Visitor


def test_a_song_is_found_as_it_was_left(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    page.get_by_role("button", name="Mute Drums").click()
    page.get_by_role("button", name="Solo Bass").click()
    page.get_by_label("Volume of Vocals").fill("0.5")
    page.get_by_label("Pan Vocals").fill("-0.4")
    page.get_by_label("Speed").select_option("0.75")
    page.keyboard.press("-")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    page.keyboard.press("End")
    page.keyboard.press("b")  # and it goes to the loop's start
    page.keyboard.press("ArrowRight")

    def check() -> None:
        pressed = {"Mute Drums": "true", "Solo Bass": "true", "Solo Drums": "false"}
        for name, state in pressed.items():
            expect(page.get_by_role("button", name=name)).to_have_attribute("aria-pressed", state)
        expect(page.get_by_label("Volume of Vocals")).to_have_value("0.5")
        expect(page.get_by_label("Pan Vocals")).to_have_value("-0.4")
        expect(page.get_by_label("Speed")).to_have_value("0.75")
        expect(page.get_by_label("Volume", exact=True)).to_have_value("0.9")
        expect(page.get_by_role("button", name="Loop from 0:05.0: start it here")).to_be_visible()
        loop = page.get_by_role("button", name="Loop", exact=True)
        expect(loop).to_have_attribute("aria-pressed", "true")
        assert at(page) == pytest.approx(10, abs=0.1)

    check()
    page.reload()
    check()
    page.goto(f"{base}/studio")
    page.go_back()
    check()


def test_the_phone_and_the_laptop_agree(
    page: Page,
    browser: Browser,
    base: str,
    song: Split,
    ada: Person,
    database: Database,
    server_secrets: Secrets,
) -> None:
    opened(page, base, song)
    page.get_by_role("button", name="Mute Drums").click()
    page.get_by_label("Speed").select_option("0.75")

    def is_saved() -> bool:
        with database.read() as session:
            state = remembering.of(session, ada.id, song.id)
        return state is not None and state["speed"] == 0.75

    until(is_saved)
    token = session_of(database, server_secrets, ada)
    with signed_in_page(browser, base, token) as phone:
        opened(phone, base, song)
        mute = phone.get_by_role("button", name="Mute Drums")
        expect(mute).to_have_attribute("aria-pressed", "true")
        expect(phone.get_by_label("Speed")).to_have_value("0.75")


def test_a_shared_link_keeps_its_own_settings(
    page: Page, browser: Browser, base: str, song: Split, signed_in: Visitor
) -> None:
    signed_in.post(f"/studio/songs/{song.id}/share", {"days": "1"})
    text = signed_in.get(f"/studio/songs/{song.id}").text
    token = text.partition("/shared/")[2].partition("<")[0]
    context = browser.new_context()
    theirs = context.new_page()
    theirs.goto(f"{base}/shared/{token}")
    mute = theirs.get_by_role("button", name="Mute Drums")
    mute.click()
    theirs.reload()
    expect(mute).to_have_attribute("aria-pressed", "true")
    context.close()
    opened(page, base, song)
    own = page.get_by_role("button", name="Mute Drums")
    expect(own).to_have_attribute("aria-pressed", "false")


@pytest.mark.parametrize("stored", ["nonsense", '{"speed": 7, "mix": {"strips": {"drums": 1}}}'])
def test_what_does_not_fit_the_song_is_ignored(
    page: Page, base: str, song: Split, stored: str
) -> None:
    page.goto(f"{base}/studio")
    key = f"song:/studio/songs/{song.id}/player.json"
    page.evaluate("([key, value]) => localStorage.setItem(key, value)", [key, stored])
    opened(page, base, song)
    expect(page.get_by_label("Speed")).to_have_value("1")
    expect(page.get_by_label("Volume of Drums")).to_have_value("1")


def test_a_click_outside_of_the_loop_clears_it(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    loop = page.get_by_role("button", name="Loop", exact=True)
    lane = page.locator(".lane").first
    box = lane.bounding_box()
    assert box is not None
    lane.click(position={"x": box["width"] * 0.75, "y": 10})
    expect(loop).to_have_attribute("aria-pressed", "true")
    lane.click(position={"x": box["width"] / 4, "y": 10})
    expect(loop).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("button", name="Start the loop here")).to_be_visible()
    assert at(page) == pytest.approx(3, abs=0.1)


def test_one_tab_plays_at_a_time(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    other = opened(page.context.new_page(), base, song)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    other.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(other.get_by_role("button", name="Pause")).to_be_visible()


@pytest.mark.usefixtures("song")
def test_a_retry_replaces_the_failed_song(page: Page, hers: Customer, database: Database) -> None:
    failed = hers.split(12)
    with database.write() as session:
        service.fail(session, session.get_one(Split, failed.id), "INTERNAL", "it broke")
    page.goto("/studio")
    rows = page.locator("#songs > .song")
    expect(rows).to_have_count(2)
    rows.first.get_by_role("button", name="Try again").press("Enter")
    expect(rows.first.get_by_role("button", name="Cancel")).to_be_visible()
    expect(rows).to_have_count(2)
    expect(rows.first.get_by_role("link", name="song.flac")).to_be_focused()
    page.reload()
    expect(rows).to_have_count(2)


def test_deleting_a_song_keeps_the_focus_in_the_list(
    page: Page, hers: Customer, song: Split
) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    other = hers.split(12)
    page.goto("/studio")
    rows = page.locator("#songs > .song")
    expect(rows).to_have_count(2)
    page.locator(f"#{other.id}").get_by_role("button", name="Cancel").click()
    page.locator(f"#{other.id}").get_by_role("button", name="Delete song.flac").press("Enter")
    expect(rows).to_have_count(1)
    expect(page.locator(f"#{song.id} a.name")).to_be_focused()
    rows.get_by_role("button", name="Delete song.flac").press("Enter")
    expect(rows).to_have_count(0)
    expect(page.locator("#songs-title")).to_be_focused()


def test_other_pages_open_beside_an_upload(page: Page) -> None:
    page.goto("/studio")
    page.route("**/uploads/upl_*", lambda _: None)  # it goes on for ever
    page.locator("#files").set_input_files(SONG)
    page.get_by_role("radio", name="Demo htdemucs_tiny").check()
    page.locator("#go").click()
    row = page.locator("#songs .song")
    expect(row).to_contain_text("Uploading")
    with page.context.expect_page() as opening:
        page.get_by_role("link", name="Settings").click()
    opening.value.wait_for_url("**/settings/developer")
    expect(page.get_by_text("Opened in a new tab")).to_be_visible()
    row.get_by_role("button", name="Cancel").click()
    page.get_by_role("link", name="Settings").click()
    page.wait_for_url("**/settings/developer")
