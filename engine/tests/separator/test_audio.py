"""Lengths, sample rates and levels of stems."""

from __future__ import annotations

import numpy as np
import pytest

from aistemsplitter_engine import AudioArray, Separator
from fakes import music
from stem_blocks import joined
from stem_files import RATE, song


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000, 384_000])
@pytest.mark.parametrize("seconds", [0, 0.9, 4])
@pytest.mark.usefixtures("fakes")
def test_stems_have_the_songs_length_and_rate(rate: int, channels: int, seconds: float) -> None:
    """The stems are aligned with the song: with the residual they add up to it."""
    frames = int(seconds * rate) + 1
    time = np.arange(frames) / rate
    audio = np.stack([np.sin(2 * np.pi * f * time) for f in (440, 560)])[:channels] * 0.5
    separator = Separator("htdemucs_tiny")
    blocks = list(
        separator.separate(
            AudioArray(audio.astype(np.float32), rate), stems=["residual", *separator.stems[:4]]
        )
    )
    assert {block.sample_rate for block in blocks} == {rate}
    stems = joined(blocks)
    assert {stem.shape for stem in stems.values()} == {(2, frames)}
    assert all(np.isfinite(stem).all() for stem in stems.values())
    if seconds:
        middle = slice(rate // 10, -rate // 10)  # resampling rings at the edges
        assert np.abs(sum(stems.values()) - audio)[:, middle].max() < 2e-3


@pytest.mark.usefixtures("fakes")
def test_another_rate() -> None:
    stems = joined(Separator("htdemucs_tiny").separate(song(1.5), sample_rate=16_000))
    assert {stem.shape for stem in stems.values()} == {(2, 24_000)}


@pytest.mark.parametrize("frames", [1, 5 * RATE])
def test_silence_stays_silence(tiny: Separator, frames: int) -> None:
    silence = AudioArray(np.zeros((2, frames), np.float32), RATE)
    stems = joined(tiny.separate(silence, stems=tiny.stems))
    assert list(stems) == [*tiny.stems]
    assert all(np.array_equal(stem, silence._array) for stem in stems.values())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_numbers_are_silence(tiny: Separator, value: float) -> None:
    audio, clean = music(1), music(1)
    audio[0, 1000:2000] = value
    clean[0, 1000:2000] = 0
    got = joined(tiny.separate(AudioArray(audio, RATE)))
    expected = joined(tiny.separate(AudioArray(clean, RATE)))
    assert all(np.array_equal(got[stem], expected[stem]) for stem in expected)


@pytest.mark.parametrize("right", [1, 0, -1])
@pytest.mark.parametrize("level", [1e-30, 1e-4, 1, 1e30, 3e38])
def test_any_level_gives_finite_samples(tiny: Separator, level: float, right: int) -> None:
    audio = music(1)[:1] * np.array([[1], [right]])
    loud = (audio / np.abs(audio).max() * level).astype(np.float32)
    stems = joined(tiny.separate(AudioArray(loud, RATE), stems=tiny.stems))
    assert all(np.isfinite(stem).all() for stem in stems.values())
    if level == 1 and right == -1:  # kept, although its mono mixture is silence
        assert max(np.abs(stem).max() for stem in stems.values()) > 0.1


def test_a_click(tiny: Separator) -> None:
    audio = np.zeros((2, 1), np.float32)
    audio[:, 0] = 0.7, -0.2
    stems = joined(tiny.separate(AudioArray(audio, RATE), stems=tiny.stems))
    assert all(stem.shape == (2, 1) for stem in stems.values())
    assert all(np.isfinite(stem).all() for stem in stems.values())
