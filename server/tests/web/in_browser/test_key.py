"""Another key: heard, in the file of the mix, and remembered."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, expect

from aistemsplitter_server.splits.tables import Split
from customers import Customer
from played import RATE, Player, noise, sine
from player_pages import expect_tones, listen_in, opened, set_range

EDGE = RATE  # frames at the start of a mix that are not measured


def mix_of(page: Page) -> NDArray[np.float64]:
    """Download the mix; return its channels."""
    with page.expect_download(timeout=120_000) as waiting:
        page.get_by_role("button", name="Download this mix (WAV)").click()
    with wave.open(io.BytesIO(Path(waiting.value.path()).read_bytes())) as file:
        assert (file.getframerate(), file.getnchannels()) == (RATE, 2)
        data = np.frombuffer(file.readframes(file.getnframes()), "<i2")
    return data.reshape(-1, 2).T / 32768


def pitch(tone: NDArray[np.float64]) -> float:
    """Return the frequency of a tone, from the phases of its spectrum at two times."""
    hop, size = 1000, 16384
    window = np.hanning(size)
    first, second = (np.fft.rfft(tone[at : at + size] * window) for at in (EDGE, EDGE + hop))
    top = int(np.abs(first).argmax())
    turned = np.angle(second[top] / first[top])
    expected = 2 * np.pi * top * hop / size
    turns = expected + (turned - expected + np.pi) % (2 * np.pi) - np.pi
    return float(turns / (2 * np.pi * hop) * RATE)


def cents(found: float, wanted: float) -> float:
    return float(1200 * np.log2(found / wanted))


@pytest.mark.parametrize(("semitones", "fine"), [(12, 0), (5, 0), (-12, 0), (-1, -32), (0, 17)])
def test_a_mix_in_another_key(
    page: Page, base: str, player: Player, hers: Customer, semitones: int, fine: int
) -> None:
    """Exact to five cents, with the drums as they were and in time."""
    split = hers.split(12)
    drums = sine(12, 1000, 6000)
    player.store(split, {"vocals": sine(12, 440, 6000), "drums": drums})
    opened(page, base, split)
    page.get_by_label("Key", exact=True).select_option(str(semitones))
    set_range(page.get_by_label("Fine tune"), fine)
    page.get_by_role("button", name="Solo Vocals").click()
    vocals = mix_of(page)
    assert vocals.shape == drums.shape
    wanted = 440 * 2 ** ((semitones + fine / 100) / 12)
    assert abs(cents(pitch(vocals[0]), wanted)) < 5
    page.get_by_role("button", name="Solo Vocals").click()
    page.get_by_role("button", name="Solo Drums").click()
    kept = mix_of(page)
    assert np.abs(kept * 32768 - drums).max() <= 1


def test_another_key_stays_in_time_with_the_drums(
    page: Page, base: str, player: Player, hers: Customer
) -> None:
    split = hers.split(12)
    beats = noise(12, 1, 12_000)
    for at in range(0, beats.shape[1], RATE // 2):  # two bursts of 50 ms a second
        beats[:, at + RATE // 20 : at + RATE // 2] = 0
    player.store(split, {"vocals": beats, "drums": beats})
    opened(page, base, split)
    page.get_by_label("Key", exact=True).select_option("3")
    page.get_by_role("button", name="Solo Vocals").click()
    shifted = np.abs(mix_of(page)[0])
    smooth = np.ones(441) / 441
    envelopes = [np.convolve(each, smooth, "same") for each in (shifted, np.abs(beats[0] / 32768))]
    own, other = (each - each.mean() for each in envelopes)
    shifts = range(-RATE // 10, RATE // 10, 44)
    middle = slice(RATE, 10 * RATE)
    score = [float(np.dot(np.roll(own, -shift)[middle], other[middle])) for shift in shifts]
    assert abs(shifts[int(np.argmax(score))]) < RATE // 50


def test_the_key_is_heard_with_the_drums_as_they_are(
    page: Page, base: str, player: Player, hers: Customer
) -> None:
    """Measured at the audio output, at the song's own and at half the speed."""
    split = hers.split(12)
    player.store(split, {"vocals": sine(12, 440, 8000), "drums": sine(12, 3000, 8000)})
    listen_in(page)
    opened(page, base, split)
    page.get_by_label("Key", exact=True).select_option("6")
    page.get_by_role("button", name="Loop", exact=True).click()
    page.get_by_role("button", name="Play", exact=True).click()
    present = [440 * 2**0.5, 3000]
    expect_tones(page, speed=1, present=present, absent=[440, 3000 * 2**0.5])
    page.get_by_label("Speed").select_option("0.5")
    expect_tones(page, speed=0.5, present=present, absent=[440, 1500])


def test_a_chosen_key_is_shown_before_it_is_heard(page: Page, base: str, song: Split) -> None:
    page.route("**/SignalsmithStretch.mjs", lambda _: None)  # it does not arrive
    opened(page, base, song)
    page.keyboard.press("k")
    expect(page.get_by_label("Key", exact=True)).to_have_value("1")


def test_the_key_is_remembered(page: Page, base: str, song: Split) -> None:
    opened(page, base, song)
    page.get_by_label("Key", exact=True).select_option("-2")
    set_range(page.get_by_label("Fine tune"), 12)
    page.reload()
    expect(page.get_by_label("Key", exact=True)).to_have_value("-2")
    expect(page.get_by_label("Fine tune")).to_have_value("12")
    expect(page.get_by_text("+12¢")).to_be_visible()
    page.get_by_role("button", name="Mute Drums").click()  # the focus is not in the select
    page.keyboard.press("k")
    page.keyboard.press("k")
    page.keyboard.press("k")
    expect(page.get_by_label("Key", exact=True)).to_have_value("1")
    page.keyboard.press("j")
    expect(page.get_by_label("Key", exact=True)).to_have_value("0")
    page.get_by_label("Fine tune").dblclick()
    expect(page.get_by_label("Fine tune")).to_have_value("0")


def test_without_https_the_key_stays(page: Page, base: str, song: Split) -> None:
    page.add_init_script("delete BaseAudioContext.prototype.audioWorklet;")
    opened(page, base, song)
    expect(page.get_by_label("Key", exact=True)).to_be_disabled()
    expect(page.get_by_label("Fine tune")).to_be_disabled()
    page.keyboard.press("k")
    expect(page.get_by_label("Key", exact=True)).to_have_value("0")
    page.get_by_label("Speed").select_option("0.5")
    expect(page.get_by_text("Without https, changing the speed")).to_be_visible()
