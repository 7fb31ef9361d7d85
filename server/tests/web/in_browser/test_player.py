"""The player on a song's page, in a real browser."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits.tables import Split
from customers import Customer
from played import Player, Tracks, sine
from player_pages import at, expect_loop, expect_tones, listen_in, opened
from processes import until
from visitors import Visitor, person


def test_play_and_pause(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    page.get_by_role("button", name="Play", exact=True).click()
    until(lambda: at(page) > 1)
    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    there = at(page)
    page.wait_for_timeout(400)
    assert at(page) == there < 6


def test_the_keyboard(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    page.keyboard.press("End")
    assert at(page) == pytest.approx(12, abs=0.1)
    page.keyboard.press("ArrowLeft")
    assert at(page) == pytest.approx(7, abs=0.1)
    page.keyboard.press("Home")
    assert at(page) == 0
    page.keyboard.press("ArrowRight")
    page.keyboard.press("l")
    expect_loop(page, is_on=True)
    expect(page.get_by_role("button", name="Loop from 0:05.0: start it here")).to_be_visible()
    page.keyboard.press("l")
    expect_loop(page, is_on=False)
    page.keyboard.press("2")
    mute = page.get_by_role("button", name="Mute Drums")
    expect(mute).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Shift+Digit3")
    expect(page.get_by_role("button", name="Solo Bass")).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("o")
    original = page.get_by_role("button", name="Original")
    expect(original).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("-")
    expect(page.get_by_label("Volume", exact=True)).to_have_attribute("aria-valuetext", "90%")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    page.keyboard.press("2")  # ignored, because the dialog is open
    page.keyboard.press("Escape")
    expect(mute).to_have_attribute("aria-pressed", "true")
    # On a button that has the focus, the space bar presses that button.
    page.keyboard.press("Tab")
    mute.focus()
    page.keyboard.press("Space")
    expect(mute).to_have_attribute("aria-pressed", "false")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_clicks_and_drags_on_waveforms(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    lane = page.locator(".lane").nth(1)
    box = lane.bounding_box()
    assert box is not None
    lane.click(position={"x": box["width"] / 4, "y": 10})
    assert at(page) == pytest.approx(3, abs=0.1)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 9)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 2 / 3, box["y"] + 12, steps=5)
    page.mouse.up()
    expect(page.get_by_role("button", name="Loop from 0:06.0: start it here")).to_be_visible()
    expect(page.get_by_role("button", name="Loop until 0:08.0: end it here")).to_be_visible()
    assert at(page) == pytest.approx(6, abs=0.1)
    # Dragging an end of the loop.
    page.mouse.move(box["x"] + box["width"] * 2 / 3, box["y"] + 12)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 3 / 4, box["y"] + 12, steps=5)
    page.mouse.up()
    expect(page.get_by_role("button", name="Loop until 0:09.0: end it here")).to_be_visible()
    page.get_by_role("button", name="Play", exact=True).click()
    until(lambda: at(page) > 8)
    until(lambda: at(page) < 8)  # it repeats
    assert 5.9 < at(page) < 9.1


def test_downloads(page: Page, base: str, song: Split, stems: Tracks, tmp_path: Path) -> None:
    opened(page, base, song)
    with page.expect_download() as waiting:
        page.get_by_role("link", name="Download Drums").click()
    assert waiting.value.suggested_filename == "song - drums.flac"
    saved = Path(waiting.value.path()).read_bytes()
    assert saved == (tmp_path / "stored" / f"{song.id}-drums.flac").read_bytes()
    page.get_by_role("button", name="Mute Vocals").click()
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Download this mix (WAV)").click()
    assert waiting.value.suggested_filename == "song - mix.wav"
    with wave.open(io.BytesIO(Path(waiting.value.path()).read_bytes())) as file:
        mix = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, 2).T
    wanted = stems["drums"].astype(int) + stems["bass"]
    assert mix.shape == wanted.shape
    assert np.abs(mix - wanted).max() <= 1
    with page.expect_download() as waiting:
        page.get_by_role("link", name="All stems as a zip").click()
    assert waiting.value.suggested_filename == "song.zip"


def test_downloads_of_a_long_title_keep_their_stems_names(
    page: Page, base: str, song: Split, database: Database
) -> None:
    title = "Concerto grosso in sol minore fatto per la notte di Natale " * 4
    with database.write() as session:
        session.get_one(Split, song.id).filename = f"{title}.flac"
    opened(page, base, song)
    names = []
    for link in (
        page.get_by_role("link", name="Download Vocals"),
        page.get_by_role("link", name="Download Drums"),
        page.get_by_role("button", name="Download this mix (WAV)"),
    ):
        with page.expect_download() as waiting:
            link.click()
        names.append(waiting.value.suggested_filename)
    for name, ending in zip(names, ("vocals.flac", "drums.flac", "mix.wav"), strict=True):
        assert name.startswith(title[:150])
        assert name.endswith(f" - {ending}")


def test_another_speed_keeps_the_pitch(
    page: Page, base: str, player: Player, hers: Customer
) -> None:
    """Measured at the audio output: a tone keeps its pitch at half the speed."""
    split = hers.split(12)
    player.store(split, {"vocals": sine(12, 880, 8000)})
    listen_in(page)
    opened(page, base, split)
    page.get_by_label("Speed").select_option("0.5")
    page.get_by_role("button", name="Loop", exact=True).click()
    page.get_by_role("button", name="Play", exact=True).click()
    expect_tones(page, speed=0.5, present=[880], absent=[440, 1760])


def test_the_player_is_prepared_on_demand(
    page: Page, base: str, player: Player, hers: Customer, stems: Tracks
) -> None:
    split = hers.split(12)
    player.store(split, stems, state="queued")
    page.goto(f"{base}/studio/songs/{split.id}")
    expect(page.get_by_text("Preparing the player")).to_be_visible()
    expect(page.get_by_role("link", name="Drums")).to_be_visible()
    player.becomes(split, "ready")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    player.becomes(split, "failed")
    page.reload()
    expect(page.get_by_text("Couldn’t prepare the player.")).to_be_visible()


def test_the_player_appears_when_the_song_is_split(
    page: Page, base: str, player: Player, hers: Customer, stems: Tracks
) -> None:
    split = hers.split(12)
    page.goto(f"{base}/studio/songs/{split.id}")
    expect(page.get_by_text("This song is still being split.")).to_be_visible()
    player.store(split, stems)
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()


def test_expired_urls_are_renewed(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    refused: list[str] = []
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))

    def refuse(route: Route) -> None:
        refused.append(route.request.url)
        route.fulfill(status=403)

    page.route("**/storage/**", refuse, times=4)
    page.keyboard.press("End")
    page.keyboard.press("ArrowLeft")
    page.get_by_role("button", name="Play", exact=True).click()
    until(lambda: at(page) > 8)
    assert len(refused) == 4
    assert len([url for url in asked if url.endswith("player.json")]) == 1


def test_a_lost_and_restored_connection(page: Page, base: str, song: Split) -> None:
    page.route("**/storage/**", lambda route: route.abort())
    opened(page, base, song)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_text("The server cannot be reached. Trying again")).to_be_visible(
        timeout=15_000
    )
    assert at(page) == 0
    page.unroute("**/storage/**")
    until(lambda: at(page) > 1)
    expect(page.get_by_text("The server cannot be reached. Trying again")).to_be_hidden()


def test_on_a_phone(page: Page, base: str, song: Split) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, base, song)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide == 390
    assert page.get_by_role("button", name="Play", exact=True).is_visible()
    box = page.get_by_role("button", name="Play", exact=True).bounding_box()
    assert box is not None
    assert box["y"] + box["height"] < 844, "the button is visible without scrolling"


def test_a_shared_link(
    browser: Browser, base: str, song: Split, signed_in: Visitor, visitor: Visitor
) -> None:
    made = signed_in.post(f"/studio/songs/{song.id}/share", {"days": "1"})
    assert made.status_code == 303
    address = signed_in.get(f"/studio/songs/{song.id}").text.partition("/shared/")[2]
    token = address.partition("<")[0]
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{base}/shared/{token}")
    page.get_by_role("button", name="Play", exact=True).click()
    until(lambda: at(page) > 0.5)
    expect(page.get_by_role("button", name="Delete this song")).to_have_count(0)
    context.close()
    stranger = Visitor(visitor.client)
    assert stranger.get("/shared/nonsense/player.json").status_code == 404
    assert stranger.get("/shared/nonsense").status_code == 404


def test_other_accounts_cannot_open_the_player(
    visitor: Visitor, database: Database, server_secrets: Secrets, song: Split
) -> None:
    eve = person(database, server_secrets, "eve@example.org")
    visitor.sign_in(eve.email)
    json = {"Accept": "application/json"}
    for path in (f"/studio/songs/{song.id}", f"/studio/songs/{song.id}/player.json"):
        assert visitor.get(path).status_code == 404
        assert visitor.get(path, headers=json).json()["error"]["code"] == "NOT_FOUND"
    visitor.cookies.clear()
    answer = visitor.get(f"/studio/songs/{song.id}/player.json", headers=json)
    assert answer.status_code == 401


def test_no_player_before_and_after_the_stems_exist(
    signed_in: Visitor, hers: Customer, database: Database, song: Split
) -> None:
    waiting = hers.split(12)
    page = signed_in.get(f"/studio/songs/{waiting.id}")
    assert page.status_code == 200
    assert "still being split" in page.text
    assert 'id="player"' not in page.text
    json = {"Accept": "application/json"}
    answer = signed_in.get(f"/studio/songs/{waiting.id}/player.json", headers=json)
    assert answer.status_code == 409
    with database.write() as session:
        row = session.get_one(Split, song.id)
        row.expires_at = row.created_at
    assert "This song’s audio has been deleted." in signed_in.get(f"/studio/songs/{song.id}").text
    answer = signed_in.get(f"/studio/songs/{song.id}/player.json", headers=json)
    assert answer.status_code == 404


def test_a_song_name_is_escaped(signed_in: Visitor, song: Split, database: Database) -> None:
    with database.write() as session:
        session.get_one(Split, song.id).filename = "<img src=x onerror=alert(1)>.wav"
    page = signed_in.get(f"/studio/songs/{song.id}").text
    assert "<img src=x" not in page
    assert "&lt;img src=x onerror=alert(1)&gt;" in page


def test_a_reduced_level_is_shown(signed_in: Visitor, song: Split, database: Database) -> None:
    path = f"/studio/songs/{song.id}"
    assert "All tracks play" not in signed_in.get(path).text
    with database.write() as session:
        session.get_one(Split, song.id).gain = 0.9974
    assert "All tracks play at 99.7%" in signed_in.get(path).text
