"""Measurement of the loudness in blocks, compared with Demucs's normalisation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.htdemucs.loudness import MeanAndDeviation
from levels import measure


def normalized(loudness: MeanAndDeviation, audio: FloatArray) -> FloatArray:
    out = np.empty_like(audio)
    loudness.normalize(audio, out)
    return out


def restored(loudness: MeanAndDeviation, estimate: FloatArray) -> FloatArray:
    out = np.empty_like(estimate)
    loudness.restore(estimate, out, np)
    return out


@settings(max_examples=60)
@given(
    cuts=st.lists(st.integers(0, 5000), max_size=8),
    frames=st.integers(2, 5000),
    offset=st.sampled_from([0.0, 0.3, -100.0]),
    scale=st.sampled_from([1e-6, 0.1, 1e6]),
)
def test_blocks_make_no_difference(
    cuts: list[int], frames: int, offset: float, scale: float
) -> None:
    rng = np.random.default_rng(frames)
    audio = (rng.standard_normal((2, frames)) * scale + offset).astype(np.float32)
    mono = audio.astype(np.float64).mean(0)
    measured = measure(np.split(audio, sorted(c for c in cuts if c <= frames), axis=1))
    assert measured.frames == frames
    assert measured.mean == pytest.approx(mono.mean(), rel=1e-9, abs=1e-12)
    assert measured.std == pytest.approx(mono.std(ddof=1), rel=1e-6)


def test_zero_samples_and_one_sample() -> None:
    assert measure([]) == MeanAndDeviation(0, 0.0, 0.0)
    assert measure([np.full((2, 1), 0.5, np.float32)]) == MeanAndDeviation(1, 0.5, 0.0)


@pytest.mark.parametrize("level", [0.0, 0.25])
def test_constant_samples_are_restored(level: float) -> None:
    """The standard deviation is zero: the network gets zeros, and zeros restore to the level."""
    audio = np.full((2, 1000), level, np.float32)
    loudness = measure([audio])
    assert np.array_equal(normalized(loudness, audio), np.zeros_like(audio))
    assert np.array_equal(restored(loudness, np.zeros_like(audio)), audio)


@pytest.mark.parametrize("right", [1, 0, -1])
@pytest.mark.parametrize("level", [1e-38, 1e30])
def test_extreme_levels_stay_finite(level: float, right: int) -> None:
    audio = np.array([[level, -level, level]], np.float32) * np.array([[1], [right]], np.float32)
    loudness = measure([audio])
    with np.errstate(all="raise", under="ignore"):
        normal = normalized(loudness, audio)
        back = restored(loudness, normal)
        assert np.isfinite(np.square(normal).sum())
    assert np.isfinite(back).all()


def test_channels_that_cancel_out_are_not_lost() -> None:
    """As in karaoke versions without the centre: the mono mixture is silence."""
    left = np.random.default_rng(0).standard_normal((1, 999)).astype(np.float32)
    audio = np.concatenate([left, -left])
    loudness = measure([audio])
    assert loudness.std == 0
    assert restored(loudness, normalized(loudness, audio)) == pytest.approx(audio)


def test_restoring_undoes_normalizing() -> None:
    audio = np.random.default_rng(0).standard_normal((2, 999)).astype(np.float32) * 0.1 + 0.02
    loudness = measure([audio])
    normal = normalized(loudness, audio)
    assert normal.mean(0).mean() == pytest.approx(0, abs=1e-6)
    assert normal.mean(0).std(ddof=1) == pytest.approx(1, rel=1e-5)
    assert restored(loudness, normal) == pytest.approx(audio, abs=1e-7)
