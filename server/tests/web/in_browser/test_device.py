"""The player on the lock screen, with media keys, and with the screen kept on."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from aistemsplitter_server.splits.tables import Split
from player_pages import at, opened

# Records what the page sets: handlers of media keys, the position, and locks of the screen.
SPY = """
window.handlers = {};
navigator.mediaSession.setActionHandler = (action, handler) => (window.handlers[action] = handler);
navigator.mediaSession.setPositionState = (state) => (window.place = state);
window.locks = 0;
navigator.wakeLock.request = async () => {
  window.locks += 1;
  const lock = new EventTarget();
  lock.released = false;
  lock.release = async () => {
    if (!lock.released) window.locks -= 1;
    lock.released = true;
  };
  window.lastLock = lock;
  return lock;
};
"""
PATIENCE = 60_000  # ms


def test_the_lock_screen_and_media_keys(page: Page, base: str, song: Split) -> None:
    page.add_init_script(SPY)
    opened(page, base, song)
    assert page.evaluate("navigator.mediaSession.metadata.title") == "song"
    assert page.evaluate("navigator.mediaSession.metadata.artwork[0].sizes") == "512x512"
    page.get_by_label("Speed").select_option("0.5")
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function(  # it plays at its own speed until the pitch shifter is loaded
        "() => navigator.mediaSession.playbackState === 'playing'"
        " && place.position > 0 && place.playbackRate === 0.5",
        timeout=PATIENCE,
    )
    assert page.evaluate("place.duration") == pytest.approx(12)
    page.evaluate("handlers.pause()")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    assert page.evaluate("navigator.mediaSession.playbackState") == "paused"
    page.evaluate("handlers.seekto({ seekTime: 7 })")
    assert at(page) == pytest.approx(7, abs=0.1)
    assert page.evaluate("place.position") == pytest.approx(7)
    page.evaluate("handlers.seekforward({})")
    assert at(page) == pytest.approx(12, abs=0.1)
    page.evaluate("handlers.seekbackward({ seekOffset: 10 })")
    assert at(page) == pytest.approx(2, abs=0.1)
    page.evaluate("handlers.previoustrack()")
    assert at(page) == 0
    page.evaluate("handlers.play()")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_playing_again_at_once_goes_on(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    page.get_by_role("button", name="Play", exact=True).click()
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.get_by_role("button", name="Pause").evaluate(
        "(button) => { button.click(); button.click(); }"
    )
    page.wait_for_function(
        "() => document.querySelector('input.seek').valueAsNumber > 1", timeout=PATIENCE
    )
    expect(page.get_by_role("button", name="Pause")).to_be_visible()


def test_the_screen_stays_on_while_it_plays(page: Page, base: str, song: Split) -> None:
    page.add_init_script(SPY)
    opened(page, base, song)
    assert page.evaluate("locks") == 0
    page.get_by_role("button", name="Play", exact=True).click()
    page.wait_for_function("() => locks === 1", timeout=PATIENCE)
    # The browser ends it when the page is hidden; once the page is back, it is asked for again.
    page.evaluate("lastLock.release(); document.dispatchEvent(new Event('visibilitychange'))")
    page.wait_for_function("() => locks === 1", timeout=PATIENCE)
    page.get_by_role("button", name="Pause").click()
    page.wait_for_function("() => locks === 0", timeout=PATIENCE)
