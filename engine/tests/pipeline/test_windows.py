"""The retained part of the mixture, and the overlap-add."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter_engine.families.htdemucs.grid import TriangleGrid
from aistemsplitter_engine.pipeline.windows import Mixture, OverlapAdd
from grids import grids, wide


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
    grid = TriangleGrid(9, 8, 0.5)  # chunks 0-8, 4-9 and 8-9
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
def test_overlap_add_does_not_depend_on_when_it_is_read(
    grid: TriangleGrid, data: st.DataObject
) -> None:
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
