"""The grid of chunks, the retained part of the mixture, and the overlap-add."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.separation.windows import Chunk, Grid, Mixture, OverlapAdd

grids = st.builds(
    Grid,
    frames=st.integers(1, 500),
    segment=st.integers(20, 60),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9]),
    offset=st.integers(0, 100),
)
wide = settings(max_examples=300)


@wide
@given(grids)
def test_chunks_follow_each_other_and_cover_the_track(grid: Grid) -> None:
    chunks = [grid.chunk(index) for index in range(len(grid))]
    assert [c.start for c in chunks] == list(range(-grid.offset, grid.frames, grid.stride))
    for chunk in chunks:
        length = chunk.stop - chunk.start
        assert length == min(grid.segment, grid.frames - chunk.start)
        assert chunk.start - chunk.window == (grid.segment - length) // 2  # in the middle
    assert chunks[-1].stop == grid.frames


@wide
@given(grids, st.data())
def test_finalized_samples_and_required_context(grid: Grid, data: st.DataObject) -> None:
    chunks = [grid.chunk(index) for index in range(len(grid))]
    done = data.draw(st.integers(0, len(grid)))
    finalized = grid.finalized(done)
    assert finalized == max(0, min([c.start for c in chunks[done:]], default=grid.frames))
    frame = data.draw(st.integers(0, grid.frames - 1))
    first = grid.first_reaching(frame)
    assert first == min(i for i, c in enumerate(chunks) if c.start + grid.segment > frame)


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 1.5, float("nan")])
def test_invalid_overlaps(overlap: float) -> None:
    with pytest.raises(OptionError, match=f"overlap {overlap:g} is not"):
        Grid(100, 10, overlap)


def test_the_numbers_of_the_official_models() -> None:
    grid = Grid(10_000_000, 343_980, 0.25)
    assert grid.stride == 257_985
    assert grid.chunk(1) == Chunk(257_985, 257_985 + 343_980, 257_985)
    short = Grid(100_001, 343_980, 0.25).chunk(0)
    assert short == Chunk(0, 100_001, -121_989)  # 243,979 are missing, the odd one at the end


def test_the_mixture_reads_past_both_ends() -> None:
    track = np.arange(1, 21, dtype=np.float32).reshape(1, -1).repeat(2, 0)
    mixture = Mixture(iter(np.split(track, [3, 4, 11], axis=1)))
    assert mixture.read(-3, 5)[0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5]
    assert mixture.read(2, 12)[1].tolist() == list(range(3, 13))
    mixture.forget(6)
    assert mixture.read(6, 8)[0].tolist() == [7, 8]
    assert mixture.read(18, 25)[0].tolist() == [19, 20, 0, 0, 0, 0, 0]


def test_the_mixture_discards_old_samples() -> None:
    """Even those before the first read, as in a resumed run."""
    blocks = (np.full((2, 10), k, np.float32) for k in range(1000))
    mixture = Mixture(blocks)
    mixture.forget(5005)
    assert mixture.read(5005, 5015)[0].tolist() == [500] * 5 + [501] * 5
    assert sum(part.shape[1] for part in mixture._parts) <= 20
    for start in range(5015, 9000, 7):
        mixture.forget(start)
        mixture.read(start, start + 30)
        assert sum(part.shape[1] for part in mixture._parts) <= 50


def test_weights_are_a_triangle_from_the_left_edge() -> None:
    """Also for a short chunk, which Demucs truncates on the right."""
    grid = Grid(9, 8, 0.5)  # chunks 0-8, 4-9 and 8-9
    join = OverlapAdd(grid, 1, 0)
    for index in range(len(grid)):
        join.add(grid.chunk(index), np.full((1, 2, 8), index + 1, np.float32))
    got = join.take(9)[0, 0]
    triangle = [1, 2, 3, 4, 4, 3, 2, 1]
    expected = [1.0] * 4
    expected += [
        (triangle[4 + k] + 2 * triangle[k]) / (triangle[4 + k] + triangle[k]) for k in range(4)
    ]
    expected += [(2 * triangle[4] + 3 * triangle[0]) / (triangle[4] + triangle[0])]
    assert got == pytest.approx(expected)


@wide
@given(grids, st.data())
def test_overlap_add_does_not_depend_on_when_it_is_read(grid: Grid, data: st.DataObject) -> None:
    """Nor on where it starts: a resumed run gives identical samples."""
    rng = np.random.default_rng(grid.frames)
    estimates = rng.standard_normal((len(grid), 2, 2, grid.segment)).astype(np.float32)

    def joined(begin: int, takes: set[int]) -> np.ndarray:
        join = OverlapAdd(grid, 2, begin)
        taken, at = [], begin
        for index in range(grid.first_reaching(begin), len(grid)):
            join.add(grid.chunk(index), estimates[index])
            stop = grid.finalized(index + 1)
            if stop > at and (index in takes or index == len(grid) - 1):
                taken.append(join.take(stop))
                at = stop
        return np.concatenate(taken, axis=2)

    whole = joined(0, set())
    assert whole.shape == (2, 2, grid.frames)
    takes = data.draw(st.sets(st.integers(0, len(grid))))
    assert np.array_equal(joined(0, takes), whole)
    begin = data.draw(st.integers(0, grid.frames - 1))
    assert np.array_equal(joined(begin, takes), whole[:, :, begin:])
