"""Integrated loudness."""

from __future__ import annotations

import numpy as np
import pytest

from aistemsplitter_engine.audio.loudness import LoudnessMeter


@pytest.mark.parametrize("level", [-14, -23, -33], ids=["loud", "broadcast", "quiet"])
def test_a_sine_on_both_channels_has_its_level_as_loudness(level: float) -> None:
    """The first of the cases of EBU Tech 3341, at several levels."""
    rate = 44_100
    sine = 10 ** (level / 20) * np.sin(2 * np.pi * 1000 * np.arange(10 * rate) / rate)
    meter = LoudnessMeter(rate)
    for start in range(0, sine.size, 30_001):
        meter.add(np.stack([sine[start : start + 30_001]] * 2).astype(np.float32))
    assert meter.integrated() == pytest.approx(level, abs=0.1)


@pytest.mark.parametrize("frames", [0, 1, 10_000, 100_000])
def test_silence_and_moments_have_no_loudness(frames: int) -> None:
    meter = LoudnessMeter(44_100)
    meter.add(np.zeros((2, frames), np.float32))
    assert meter.integrated() is None
