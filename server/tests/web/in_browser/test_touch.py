"""The player under a finger, with real touch events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, CDPSession, Locator, Page, expect

from aistemsplitter_server.splits.tables import Split
from player_pages import PHONE, opened, signed_in_page

TARGET = 44  # CSS pixels, the least size of what a finger should hit


@dataclass(frozen=True)
class Finger:
    """One finger on the page's screen."""

    page: Page
    devtools: CDPSession

    def swipe(self, start: Locator, x: float, y: float) -> None:
        """Touch the middle of an element, move, and lift."""
        start.scroll_into_view_if_needed()
        box = start.bounding_box()
        assert box is not None
        at = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        self._send("touchStart", at)
        for step in range(1, 11):
            self._send("touchMove", (at[0] + x * step / 10, at[1] + y * step / 10))
        self._send("touchEnd")

    def _send(self, kind: str, *at: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in at]
        self.devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


@pytest.fixture
def page(browser: Browser, base: str, session_token: str) -> Iterator[Page]:
    """Ada's phone."""
    with signed_in_page(browser, base, session_token, **PHONE) as page:
        yield page


@pytest.fixture
def finger(page: Page, base: str, song: Split) -> Finger:
    """A finger on the page of the song."""
    opened(page, base, song)
    return Finger(page, page.context.new_cdp_session(page))


def values(page: Page) -> list[str]:
    """Return the values of all sliders."""
    found: list[str] = page.locator("#player input[type=range]").evaluate_all(
        "sliders => sliders.map(({ value }) => value)"
    )
    return found


def scrolled(page: Page) -> float:
    """Return how far the page is scrolled."""
    return float(page.evaluate("scrollY"))


@pytest.mark.parametrize("label", ["Volume of Drums", "Pan Drums", "Position", "Volume"])
def test_a_swipe_across_a_slider_scrolls_and_changes_nothing(
    page: Page, finger: Finger, label: str
) -> None:
    slider = page.get_by_label(label, exact=True)
    page.evaluate("scrollTo(0, 250)")
    page.wait_for_function("scrollY === 250")
    before = values(page)
    # Off the middle, where volume and pan are set already.
    page.evaluate("window.heard = 0")
    page.evaluate("document.addEventListener('input', () => (window.heard += 1))")
    finger.swipe(slider, 6, 160)
    page.wait_for_function("scrollY < 200")
    assert values(page) == before
    assert page.evaluate("window.heard") == 0


def test_a_slider_follows_a_finger_along_it_and_a_tap(page: Page, finger: Finger) -> None:
    volume = page.get_by_label("Volume of Drums")
    finger.swipe(volume, 50, 4)
    expect(volume).not_to_have_value("1")
    after_swipe = float(volume.input_value())
    assert after_swipe > 0.75
    volume.tap(position={"x": 20, "y": 10})
    expect(volume).not_to_have_value(str(after_swipe))
    assert float(volume.input_value()) < 0.5
    assert volume.get_attribute("aria-valuetext") != "0.0 dB"


def test_a_swipe_across_the_loop_changes_nothing(page: Page, finger: Finger) -> None:
    lane = page.locator("[data-stem=vocals] .lane")
    # Away from the edge of the screen, where the bar with the play button covers it.
    lane.evaluate("lane => lane.scrollIntoView({ block: 'center' })")
    finger.swipe(lane, 120, 3)
    loop = page.get_by_role("button", name="Loop", exact=True)
    expect(loop).to_have_attribute("aria-pressed", "true")
    start = page.get_by_role("button", name="Loop from").get_attribute("aria-label")
    end = page.get_by_role("button", name="Loop until").get_attribute("aria-label")
    for handle in ("start", "end"):
        finger.swipe(page.locator(f"[data-stem=vocals] .handle.{handle}"), 7, 150)
    finger.swipe(lane, 7, -150)
    assert page.get_by_role("button", name="Loop from").get_attribute("aria-label") == start
    assert page.get_by_role("button", name="Loop until").get_attribute("aria-label") == end
    # Along the lane, the handle moves the loop's end.
    finger.swipe(page.locator("[data-stem=vocals] .handle.end"), 40, 2)
    expect(page.get_by_role("button", name="Loop from")).to_have_attribute(
        "aria-label", start or ""
    )
    expect(page.get_by_role("button", name="Loop until")).not_to_have_attribute(
        "aria-label", end or ""
    )


def test_controls_are_large_enough_for_a_finger(page: Page, finger: Finger) -> None:
    finger.swipe(page.locator("[data-stem=vocals] .lane"), 120, 3)  # a loop, for its handles
    small = page.evaluate(
        """least => [...document.querySelectorAll("button, .button, select, input, .handle")]
        .map((each) => [each.outerHTML.slice(0, 80), each.getBoundingClientRect()])
        .filter(([, { width, height }]) => width && height && Math.min(width, height) < least)
        .map(([html, { width, height }]) => [html, width, height])
        .filter(([html]) => !html.includes('class="link"'))""",
        TARGET,
    )
    assert small == []
