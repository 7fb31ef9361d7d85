"""A musician's journey, in a real browser, with the service's processes and a real song."""

from __future__ import annotations

import io
import re
import wave
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit.settings import Settings
from browsers import enter
from databases import only_sqlite
from processes import SONG, Service, running, until

pytestmark = only_sqlite
SECONDS = 20  # of the song


@dataclass
class Studio:
    """Ada's browser in the studio."""

    page: Page
    service: Service
    client: httpx2.Client  # of the same service, without a key
    here: str


@pytest.fixture
def studio(browser: Browser, settings: Settings, ada: Person) -> Iterator[Studio]:
    """Signed in; tests that need a worker start one."""
    with running(settings) as service, service.api() as client:
        here = f"http://localhost:{client.base_url.port}"
        context = browser.new_context(base_url=here, reduced_motion="reduce")
        page = context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: dialog.accept())
        enter(page, ada.email)
        yield Studio(page, service, client, here)
        context.close()
        assert not faults


def test_from_an_uploaded_file_to_downloaded_stems(
    studio: Studio, browser: Browser, tmp_path: Path
) -> None:
    page = studio.page
    song = tmp_path / "Über <b>Nacht.flac"
    song.write_bytes(SONG.read_bytes())

    # The price is shown before anything is uploaded.
    page.locator("#files").set_input_files([song, song])
    expect(page.locator("#pending li")).to_have_count(2)
    expect(page.locator("#summary")).to_contain_text("Costs 0:40")
    page.get_by_role("button", name=f"Remove {song.name}").first.click()
    expect(page.locator("#summary")).to_contain_text("Costs 0:20")
    page.get_by_role("radio", name="Demo htdemucs_tiny").check()
    page.get_by_label("Drums", exact=True).uncheck()
    page.get_by_text("More options").click()
    page.get_by_label("Averaged passes").select_option("3")
    expect(page.locator("#summary")).to_contain_text("Costs 1:00")
    page.get_by_label("Part of the song").select_option("10")
    expect(page.locator("#summary")).to_contain_text("Costs 0:30")
    page.get_by_label("Part of the song").select_option("")
    page.get_by_label("Averaged passes").select_option("")
    page.get_by_label("Bit depth").select_option("32")
    page.locator("[name=format]").select_option("mp3")
    expect(page.get_by_label("Bit depth")).to_be_hidden()
    page.locator("[name=format]").select_option("wav")
    expect(page.get_by_label("Bit depth")).to_have_value("")
    page.get_by_role("button", name="Split", exact=True).click()

    # The song is updated from the queue to its end without a reload.
    row = page.locator("#songs .song")
    expect(row).to_contain_text("Next in the queue")
    expect(row.locator(".name")).to_have_text(song.name)
    expect(page.locator("#balance")).to_have_text("9:40")
    studio.service.start("worker")
    expect(row.locator("progress")).to_be_visible()
    expect(row).to_contain_text("Ready")
    row.get_by_role("link", name="Listen").click()

    # The player: playing, soloing a stem, looping a part.
    play = page.get_by_role("button", name="Play", exact=True)
    expect(play).to_be_visible()
    play.click()
    until(lambda: _position(page) > 0.5)
    page.get_by_role("button", name="Solo Vocals").click()
    expect(page.get_by_role("button", name="Solo Vocals")).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Pause").click()
    page.keyboard.press("Home")
    for key in ("[", "ArrowRight", "]", "Home", "Space"):
        page.keyboard.press(key)
    loop = page.get_by_role("button", name="Loop", exact=True)
    expect(loop).to_have_attribute("aria-pressed", "true")
    before = [_position(page)]
    until(
        lambda: before.append(_position(page)) or before[-1] < before[-2]
    )  # the loop has jumped back
    page.get_by_role("button", name="Pause").click()

    # The downloads equal the stored files.
    made = {stem: _stored(studio, stem) for stem in ("vocals", "bass", "other")}
    with page.expect_download() as caught:
        page.get_by_role("link", name="Download Vocals").first.click()
    assert caught.value.suggested_filename == "Über _b_Nacht - vocals.wav"
    assert Path(caught.value.path()).read_bytes() == made["vocals"]
    with page.expect_download() as caught:
        page.get_by_role("link", name="All stems as a zip").click()
    with zipfile.ZipFile(caught.value.path()) as archive:
        assert sorted(map(archive.read, archive.namelist())) == sorted(made.values())
    with page.expect_download() as caught:
        page.get_by_role("button", name="Download this mix (WAV)").click()
    with wave.open(str(caught.value.path())) as mix:  # vocals alone, as set
        assert (mix.getnframes(), mix.getnchannels()) == (SECONDS * mix.getframerate(), 2)
        with wave.open(io.BytesIO(made["vocals"])) as vocals:
            assert mix.getframerate() == vocals.getframerate()

    # Shared with a person without an account, until it is deleted.
    page.get_by_role("button", name="Create link").click()
    link = page.locator("#share code").inner_text()
    stranger = browser.new_context()
    theirs = stranger.new_page()
    theirs.goto(link)
    expect(theirs.get_by_role("button", name="Play", exact=True)).to_be_visible()
    expect(theirs.get_by_role("button", name="Delete this song")).to_have_count(0)
    page.get_by_role("button", name="Delete this song").click()
    expect(page.locator("#songs")).to_contain_text("Nothing here yet")
    shared = theirs.goto(link)
    assert shared is not None
    assert shared.status == 404
    stranger.close()


def test_an_upload_resumes_after_a_dropped_connection(studio: Studio) -> None:
    page, sent = studio.page, []

    def break_once(route: Route) -> None:
        """Forward the first half to the server, then break the connection."""
        request = route.request
        sent.append(request.headers.get("content-range"))
        if len(sent) > 1:
            route.continue_()
            return
        body = SONG.read_bytes()
        half = len(body) // 2
        headers = {
            "Content-Type": request.headers["content-type"],
            "Content-Range": f"bytes 0-{half - 1}/{len(body)}",
        }
        answer = httpx2.put(
            request.url, content=body[:half], headers=headers, trust_env=False, timeout=60
        )
        assert answer.status_code == 308
        route.abort("connectionreset")

    page.route("**/uploads/upl_*", break_once)
    page.locator("#files").set_input_files(SONG)
    page.get_by_role("radio", name="Demo htdemucs_tiny").check()
    page.get_by_role("button", name="Split", exact=True).click()
    expect(page.locator("#songs .song")).to_contain_text("Next in the queue")
    size = SONG.stat().st_size
    assert sent == [None, f"bytes */{size}", f"bytes {size // 2}-{size - 1}/{size}"]


def test_errors_are_shown_beside_the_song(studio: Studio, tmp_path: Path) -> None:
    page = studio.page
    empty, noise = tmp_path / "empty.mp3", tmp_path / "holiday.mp3"
    empty.touch()
    noise.write_bytes(b"this is no audio" * 1000)
    page.locator("#files").set_input_files([empty, noise])
    expect(page.locator("#toasts")).to_contain_text("empty.mp3 is empty.")
    expect(page.locator("#pending li")).to_have_count(1)
    expect(page.locator("#summary")).to_contain_text("known once the server has checked it")
    page.get_by_role("radio", name="Demo htdemucs_tiny").check()
    page.get_by_role("button", name="Split", exact=True).click()
    row = page.locator("#songs .song")
    expect(row.get_by_role("alert")).to_have_text("This file isn’t readable audio.")
    row.get_by_role("button", name="Remove").click()
    expect(row).to_have_count(0)
    expect(page.locator("#balance")).to_have_text("10:00")

    page.get_by_label("Link to an audio file").fill("http://127.0.0.1:9/secret")
    page.get_by_label("Link to an audio file").press("Enter")
    page.get_by_role("button", name="Split", exact=True).click()
    expect(row).to_contain_text(re.compile("Downloading…|Failed"))
    page.get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("Cancelled")
    row.get_by_role("button", name="Delete secret").click()
    expect(row).to_have_count(0)


def _position(page: Page) -> float:
    return float(page.get_by_label("Position").input_value())


def _stored(studio: Studio, stem: str) -> bytes:
    """Return a stem from the storage."""
    found = [*(studio.service.settings.data / "storage").rglob(f"{stem}.wav")]
    assert len(found) == 1
    return found[0].read_bytes()
