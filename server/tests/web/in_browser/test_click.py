"""Tempo and click in the player: shown, corrected, and heard on the beats."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import analysis
from aistemsplitter_server.splits.analysis import Detected, Grid
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import assets
from player_pages import opened
from processes import until

BEAT = 0.5  # seconds
FIRST = 0.25  # seconds
# Notes when the song and each click are scheduled, and forgets clicks that are stopped before.
NOTES = """
window.clicks = [];
const notes = new Map();
const { start, stop } = OscillatorNode.prototype;
OscillatorNode.prototype.start = function (when) {
  notes.set(this, { when, hertz: this.frequency.value });
  window.clicks.push(notes.get(this));
  return start.call(this, when);
};
OscillatorNode.prototype.stop = function (when = 0) {
  const note = notes.get(this);
  const isHeard = Math.max(when, this.context.currentTime) > note.when;
  if (!isHeard) window.clicks.splice(window.clicks.indexOf(note), 1);
  return stop.call(this, when);
};
const play = AudioBufferSourceNode.prototype.start;
AudioBufferSourceNode.prototype.start = function (when, from, length) {
  window.began ??= when - from;
  return play.call(this, when, from, length);
};
"""


def clicks(page: Page, count: int) -> list[tuple[float, float]]:
    """Return seconds of the song and frequency of each click, once there are so many."""
    page.wait_for_function("(count) => window.clicks.length >= count", arg=count)
    found: list[dict[str, float]] = page.evaluate("window.clicks")
    began: float = page.evaluate("window.began")
    return [(each["when"] - began, each["hertz"]) for each in found[:count]]


def test_the_click_is_on_the_corrected_beats(
    page: Page, base: str, song: Split, database: Database
) -> None:
    beats = [round(1000 * (FIRST + BEAT * number)) for number in range(22)]
    grid = Grid.model_validate({"beats": beats, "beatsPerBar": 4, "firstDownbeat": 1})
    with database.write() as session:
        analysis.store(session.get_one(Split, song.id), Detected(key="F# minor", grid=grid))
    page.add_init_script(NOTES)
    opened(page, base, song)
    tools = page.get_by_role("group", name="Tempo and click")
    expect(tools).to_contain_text("120.0 BPM")
    expect(tools).to_contain_text("F♯ minor")
    page.get_by_label("Key", exact=True).select_option("2")
    expect(tools).to_contain_text("A♭ minor")
    page.get_by_label("Key", exact=True).select_option("0")
    tools.get_by_role("button", name="Half the tempo").click()
    expect(tools).to_contain_text("60.0 BPM")
    tools.get_by_role("button", name="Double the tempo").click()
    tools.get_by_role("button", name="First beat of the bar: one beat later").click()
    tools.get_by_label("Beats per bar").select_option("3")

    def stored() -> dict[str, Any] | None:
        with database.read() as session:
            found = session.get_one(Split, song.id).grid
        return found if found and found["beatsPerBar"] == 3 else None

    corrected = until(stored)
    first = corrected["firstDownbeat"]
    tools.get_by_role("button", name="Click", exact=True).click()
    tools.get_by_role("button", name="Count-in").click()
    page.get_by_role("button", name="Play", exact=True).click()
    for state in ("true", "false"):  # which does not stop the count-in
        page.keyboard.press("l")
        loop = page.get_by_role("button", name="Loop", exact=True)
        expect(loop).to_have_attribute("aria-pressed", state)
    # A bar of three clicks leads to the next beat; then the click follows the beats.
    heard = clicks(page, 3 + 5)
    true = [beat / 1000 for beat in corrected["beats"]]
    count_in = [true[0] - BEAT * number for number in (3, 2, 1)]
    assert [time for time, _ in heard] == pytest.approx([*count_in, *true[:5]], abs=0.002)
    strong = [hertz == max(each for _, each in heard) for _, hertz in heard]
    assert strong == [True, False, False, *(at % 3 == first for at in range(5))]
    page.get_by_role("button", name="Pause", exact=True).click()
    tapped = page.evaluate(
        "async ([url, taps]) => (await import(url)).tapped(taps, 4000, 4)",
        [assets.url("player/grid.js"), [1000, 1510, 1990, 2500]],
    )
    assert tapped["beats"] == [*range(7, 4000, 498)]  # on the line through the taps
    assert tapped["firstDownbeat"] == 2  # where the tapping began
    tools.get_by_role("button", name="Snap").click()
    for seconds, key in (("4.4", "a"), ("7.1", "b")):
        page.get_by_label("Position").fill(seconds)
        page.keyboard.press(key)
    page.reload()
    expect(tools.get_by_role("button", name="Count-in")).to_have_attribute("aria-pressed", "true")
    expect(tools.get_by_label("Beats per bar")).to_have_value("3")
    expect(page.get_by_role("button", name="Loop from 0:04.2: start it here")).to_be_visible()
    expect(page.get_by_role("button", name="Loop until 0:07.2: end it here")).to_be_visible()
