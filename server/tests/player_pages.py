"""The player's page in a browser, as its tests use it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

from aistemsplitter_server.accounts import sign_ins
from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits.tables import Split
from visitors import SESSION

PHONE: dict[str, Any] = {
    "viewport": {"width": 390, "height": 844},
    "has_touch": True,
    "is_mobile": True,
}
STEMS = ("vocals", "drums", "bass")

# Analyses the audio output, and compares the position in the song with the clock of the audio.
EAR = """
const connect = AudioNode.prototype.connect;
AudioNode.prototype.connect = function (to, ...more) {
  if (to === this.context.destination && this.context instanceof AudioContext) {
    window.ear ??= new AnalyserNode(this.context, { fftSize: 32768, smoothingTimeConstant: 0 });
    connect.call(this, window.ear);
  }
  return connect.call(this, to, ...more);
};
const level = (frequency) => {
  const bins = new Float32Array(window.ear.frequencyBinCount);
  window.ear.getFloatFrequencyData(bins);
  const at = Math.round(frequency / (window.ear.context.sampleRate / window.ear.fftSize));
  return Math.max(...bins.slice(at - 2, at + 3));
};
const places = [];
window.speedHeard = () => {
  const clock = window.ear.context.currentTime;
  const position = document.querySelector("input.seek").valueAsNumber;
  places.push({ clock, position });
  const before = places.findLast((place) => place.clock <= clock - 2);
  return before && (position - before.position) / (clock - before.clock);
};
window.hears = ({ speed, present, absent }) =>
  Math.abs(window.speedHeard() - speed) < 0.1 &&
  present.every((frequency) => level(frequency) > -40) &&
  absent.every((frequency) => level(frequency) < -60);
"""


@contextmanager
def signed_in_page(browser: Browser, base: str, token: str, **options: Any) -> Iterator[Page]:
    """Yield a page of a new browser context that is signed in; fail on errors of its scripts.

    Args:
        token: The session's cookie.
        options: Of the browser context.
    """
    context = browser.new_context(base_url=base, **options)
    sign_in(context, token)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if _is_fault(message) else None)
    yield page
    context.close()
    assert not faults


def sign_in(context: BrowserContext, token: str) -> None:
    """Give a browser context the cookie of a session."""
    context.add_cookies(
        [{"name": SESSION, "value": token, "domain": "localhost", "path": "/", "secure": True}]
    )


def session_of(database: Database, secrets: Secrets, someone: Person) -> str:
    """Sign a person in, and return the session's cookie."""
    with database.write() as session:
        return sign_ins.begin(session, secrets, someone, user_agent="tests", address="127.0.0.1")


def _is_fault(message: ConsoleMessage) -> bool:
    """Return whether a console message is an error, except the loading errors of tests."""
    return message.type == "error" and "Failed to load resource" not in message.text


def opened(page: Page, base: str, song: Split) -> Page:
    """Open the song's page, and wait for its player."""
    page.goto(f"{base}/studio/songs/{song.id}")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    return page


def at(page: Page) -> float:
    """Return the position in seconds, from the slider."""
    return float(page.get_by_label("Position").input_value())


def expect_loop(page: Page, *, is_on: bool) -> None:
    """Wait until the loop is on or off, as its button shows."""
    button = page.get_by_role("button", name="Loop", exact=True)
    expect(button).to_have_attribute("aria-pressed", "true" if is_on else "false")


def listen_in(page: Page) -> None:
    """Have ``expect_tones`` hear the pages that are opened from now on."""
    page.add_init_script(EAR)


def expect_tones(
    page: Page, *, speed: float, present: Sequence[float], absent: Sequence[float]
) -> None:
    """Wait until the song plays at a speed, with some frequencies in the output and without others.

    The song has to be in a loop of more than two seconds, since this may take long.
    """
    page.wait_for_function(
        "(wanted) => window.hears(wanted)",
        arg={"speed": speed, "present": [*present], "absent": [*absent]},
        timeout=60_000,
    )


def set_range(slider: Locator, value: float) -> None:
    """Move a slider to a value, as a pointer does: with an event for its scripts."""
    slider.evaluate(
        "(input, value) => { input.value = value; input.dispatchEvent(new Event('input')); }", value
    )
