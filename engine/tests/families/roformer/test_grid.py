"""MSST's chunks of a track, as a stream, compared with separating the whole track at once."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistemsplitter_engine.checks.msst import demix
from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.families.base import Chunk
from aistemsplitter_engine.families.roformer.config import Configuration
from aistemsplitter_engine.families.roformer.family import RoFormer
from aistemsplitter_engine.families.roformer.grid import TrapezoidGrid
from aistemsplitter_engine.families.roformer.level import Unchanged
from aistemsplitter_engine.families.roformer.settings import Settings
from aistemsplitter_engine.families.roformer.sizes import Sizes
from aistemsplitter_engine.pipeline.separate import Part, separate
from fakes import FakeRuntime, FloatArray


def network(segment: int) -> RoFormer:
    """Return a network of two sources that is never computed."""
    sizes = Sizes(False, 8, 1, (1, 1), 1, 8, 8, (4, 5), 2, 1, 8)
    of_yaml = Settings({}, 16, 4, segment, True, 0.5, ("one", "two"), None)
    return RoFormer(Configuration(of_yaml, sizes, ((0, 4), (4, 9)), (0, 1)))


def noise(frames: int) -> FloatArray:
    return np.random.default_rng(frames).standard_normal((2, frames)).astype(np.float32)


def stream(
    runtime: FakeRuntime, track: FloatArray, overlap: float, begin: int = 0, batch_size: int = 1
) -> FloatArray:
    blocks = [track[:, start : start + 33] for start in range(0, track.shape[1], 33)]
    out = separate(
        blocks,
        Unchanged(track.shape[1]),
        [Part(runtime, (0, 1))],
        [[0]],
        overlap=overlap,
        batch_size=batch_size,
        begin=begin,
    )
    return np.concatenate([estimates.sources for estimates in out], axis=2)


def whole(runtime: FakeRuntime, track: FloatArray, num_overlap: int) -> FloatArray:
    def of_chunk(part: FloatArray) -> FloatArray:
        return runtime([part], (0, 1))[0]

    return demix(of_chunk, track, runtime.network.segment_frames, num_overlap)


@settings(max_examples=80, deadline=None)
@given(
    frames=st.integers(1, 900),
    segment=st.integers(30, 210),
    num_overlap=st.integers(2, 8),
    batch_size=st.integers(1, 3),
    data=st.data(),
)
def test_a_stream_equals_demix(
    frames: int, segment: int, num_overlap: int, batch_size: int, data: st.DataObject
) -> None:
    runtime, track = FakeRuntime(network(segment)), noise(frames)
    expected = whole(runtime, track, num_overlap)
    got = stream(runtime, track, 1 - 1 / num_overlap, batch_size=batch_size)
    assert got.shape == (2, 2, frames)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    begin = data.draw(st.integers(0, frames - 1))
    resumed = stream(runtime, track, 1 - 1 / num_overlap, begin)
    np.testing.assert_allclose(resumed, expected[:, :, begin:], atol=1e-5)


@pytest.mark.parametrize("num_overlap", [2, 3, 4])
@pytest.mark.parametrize("frames", [*range(1, 12), *range(95, 105), *range(195, 205), 250, 1000])
def test_lengths_near_a_segment(frames: int, num_overlap: int) -> None:
    runtime, track = FakeRuntime(network(100)), noise(frames)
    expected = whole(runtime, track, num_overlap)
    np.testing.assert_allclose(stream(runtime, track, 1 - 1 / num_overlap), expected, atol=1e-5)


@settings(max_examples=50, deadline=None)
@given(
    frames=st.integers(1, 700),
    segment=st.integers(40, 120),
    overlap=st.sampled_from([0.0, 0.02, 0.05, 0.1, 0.25, 0.33, 0.6, 0.9]),
)
def test_every_sample_has_a_weight_at_any_overlap(
    frames: int, segment: int, overlap: float
) -> None:
    """MSST leaves silent samples where chunks do not overlap."""

    class Copies(FakeRuntime):
        def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
            return np.stack([np.stack([*segments])] * len(sources), axis=1)

    track = noise(frames)
    got = stream(Copies(network(segment)), track, overlap)
    np.testing.assert_allclose(got, np.stack([track] * 2), atol=1e-5)


def test_chunks_of_kim_vocals() -> None:
    grid = TrapezoidGrid(10_000_000, 352_800, 0.5)
    assert grid.border == grid.stride == 176_400
    assert grid.chunk(0) == Chunk(-176_400, 176_400, -176_400, 1)
    assert grid.chunk(1) == Chunk(0, 352_800, 0, 0)
    assert [len(weight) for weight in grid.weights] == [352_800] * 3
    assert TrapezoidGrid(9, 9, 1 - 1 / 3).stride == 3


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 0.999])
def test_overlaps_that_make_no_grid(overlap: float) -> None:
    with pytest.raises(OptionError, match=r"overlap .* is not in the range from 0 to below 1"):
        TrapezoidGrid(100, 10, overlap)


def test_memory_does_not_grow_with_the_track() -> None:
    def blocks(count: int) -> Iterator[FloatArray]:
        for _ in range(count):
            yield np.ones((2, 1000), np.float32)

    def peak(count: int) -> int:
        runtime = FakeRuntime(network(20_000), concurrency=1)
        run = partial(separate, parts=[Part(runtime, (0, 1))], offsets=[[0]])
        tracemalloc.start()
        try:
            for _ in run(blocks(count), Unchanged(count * 1000), overlap=0.5, batch_size=1):
                pass
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    # It depends on what the two threads do at the same time; the song is 6.4 MB longer.
    assert peak(1000) < 1.5 * peak(200)
