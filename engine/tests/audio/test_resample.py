"""Resampling: exact lengths and positions, in blocks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistemsplitter_engine.audio import BLOCK_FRAMES, resample

RATES = [8000, 11025, 22050, 32000, 44100, 48000, 88200, 96000, 192000, 384000]


def chunks(song, sizes):
    start = 0
    while start < song.shape[1]:
        for size in sizes:
            if start < song.shape[1]:
                yield song[:, start : start + size]
            start += size


def run(song, source, target, frames=None, sizes=(BLOCK_FRAMES,)):
    blocks = list(resample(chunks(song, sizes), source, target, frames))
    assert all(block.shape[1] > 0 for block in blocks)
    assert all(block.dtype == np.float32 for block in blocks)
    return np.concatenate([np.zeros((song.shape[0], 0), np.float32), *blocks], axis=1)


@pytest.mark.parametrize("source", RATES)
@pytest.mark.parametrize("target", [44100, 48000])
def test_a_tone_keeps_its_position(source, target):
    seconds = 0.5

    def tone(rate):
        time = np.arange(int(rate * seconds)) / rate
        fade = np.sin(np.pi * time / seconds) ** 2
        return (np.sin(2 * np.pi * 1000 * time) * fade * 0.5).astype(np.float32)

    out = run(tone(source)[None], source, target)[0]
    expected = tone(target)[: len(out)]
    assert np.abs(out[: len(expected)] - expected).max() < 2e-5


@given(
    frames=st.integers(1, 5000),
    source=st.sampled_from(RATES),
    target=st.sampled_from(RATES),
    sizes=st.lists(st.integers(1, 700), min_size=1, max_size=3),
)
@settings(max_examples=60)
def test_lengths_and_blocks(frames, source, target, sizes):
    song = np.random.default_rng(frames).standard_normal((2, frames)).astype(np.float32)
    out = run(song, source, target, sizes=sizes)
    assert out.shape == (2, -(-frames * target // source))
    assert (
        np.abs(out - run(song, source, target)).max() < 1e-5
    )  # the block boundaries cannot be seen
    back = run(out, target, source, frames=frames)
    assert back.shape == song.shape


@pytest.mark.parametrize(("source", "target"), [(44100, 44100), (44100, 48000)])
@pytest.mark.parametrize("frames", [0, 1, 999, 70_000])
def test_an_exact_length(source, target, frames):
    song = np.ones((2, 1000), dtype=np.float32)
    assert run(song, source, target, frames=frames).shape == (2, frames)


def test_equal_rates_pass_through(make):
    song = make.music(1000)
    assert np.array_equal(run(song, 8000, 8000), song)


def test_no_samples_give_no_samples():
    assert list(resample([], 44100, 48000)) == []
    assert sum(block.shape[1] for block in resample([], 44100, 48000, 100)) == 100


def test_far_apart_rates_make_no_huge_blocks():
    song = np.zeros((2, 2000), dtype=np.float32)
    blocks = list(resample([song], 1000, 768_000))
    assert max(block.shape[1] for block in blocks) <= BLOCK_FRAMES
    assert sum(block.shape[1] for block in blocks) == 2000 * 768
