"""The player's keyboard shortcuts, after pointer actions, after Tab, and on other layouts."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from aistemsplitter_server.splits.tables import Split
from player_pages import at, expect_loop, opened


def test_keys_after_a_pointer_action_belong_to_the_player(
    page: Page, base: str, song: Split
) -> None:
    opened(page, base, song)
    mute = page.get_by_role("button", name="Mute Drums")
    mute.click()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(mute).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()

    volume = page.get_by_label("Volume of Bass")
    volume.click()
    level = volume.input_value()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    assert at(page) == pytest.approx(5, abs=0.1)
    assert volume.input_value() == level

    speed = page.get_by_label("Speed")
    speed.focus()
    speed.select_option("0.5")
    page.keyboard.press("2")
    expect(mute).to_have_attribute("aria-pressed", "false")
    assert speed.input_value() == "0.5"


def test_speed_and_foot_pedals(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    speed = page.get_by_label("Speed")
    page.keyboard.press(",")
    page.keyboard.press(",")
    expect(speed).to_have_value("0.9")
    page.keyboard.press(".")
    expect(speed).to_have_value("0.95")
    page.get_by_label("Speed").select_option("2")
    page.get_by_role("button", name="Mute Drums").click()
    page.keyboard.press(".")
    expect(speed).to_have_value("2")

    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    page.keyboard.press("PageDown")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    page.keyboard.press("PageDown")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("PageUp")
    assert at(page) == pytest.approx(5, abs=0.1)  # where the loop starts
    page.keyboard.press("Escape")
    page.keyboard.press("PageUp")
    assert at(page) == 0


def test_keys_after_tab_belong_to_the_control(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    page.get_by_role("button", name="Mute Drums").click()
    page.keyboard.press("Tab")
    solo = page.get_by_role("button", name="Solo Drums")
    expect(solo).to_be_focused()
    page.keyboard.press("Space")
    expect(solo).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    volume = page.get_by_label("Volume of Drums")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(volume).to_be_focused()
    page.keyboard.press("Home")
    assert volume.input_value() == "0"
    assert at(page) == 0


@pytest.mark.parametrize(("start", "end"), [("ü", "+"), ("Dead", "$"), ("å", "Dead")])
def test_the_keys_of_brackets_work_on_other_layouts(
    page: Page, base: str, song: Split, start: str, end: str
) -> None:
    opened(page, base, song)

    def press(code: str, key: str) -> None:
        page.evaluate(
            "([code, key]) => document.body.dispatchEvent("
            "new KeyboardEvent('keydown', { code, key, bubbles: true, cancelable: true }))",
            [code, key],
        )

    page.keyboard.press("ArrowRight")
    press("BracketLeft", start)
    expect(page.get_by_role("button", name="Loop from 0:05.0: start it here")).to_be_visible()
    page.keyboard.press("ArrowRight")
    press("BracketRight", end)
    expect(page.get_by_role("button", name="Loop until 0:10.0: end it here")).to_be_visible()
    expect(page.get_by_label("Volume", exact=True)).to_have_value("1")


def test_the_loop_is_set_by_letters_and_cleared_by_escape(
    page: Page, base: str, song: Split
) -> None:
    opened(page, base, song)
    page.keyboard.press("ArrowRight")
    page.keyboard.press("a")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("b")
    expect_loop(page, is_on=True)
    expect(page.get_by_role("button", name="Loop until 0:10.0: end it here")).to_be_visible()
    page.keyboard.press("Escape")
    expect_loop(page, is_on=False)
    expect(page.get_by_role("button", name="Start the loop here")).to_be_visible()
