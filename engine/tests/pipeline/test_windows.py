"""The retained part of the mixture, and the overlap-add."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter_engine.arrays import NUMPY, FloatArray, NumpyArrays
from aistemsplitter_engine.families.base import Piece
from aistemsplitter_engine.families.htdemucs.grid import TriangleGrid
from aistemsplitter_engine.families.htdemucs.loudness import MeanAndDeviation
from aistemsplitter_engine.pipeline.windows import Mixture, OverlapAdd
from grids import grids, wide

TWICE = MeanAndDeviation(20, 0.0, 0.5)  # normalizes by a factor of 2


def window(mixture: Mixture, start: int, stop: int) -> FloatArray:
    out = np.full((2, stop - start), np.nan, np.float32)
    mixture.window([Piece(max(0, -start), max(0, start), stop)], out)
    return out


def test_windows_are_normalized_and_silent_past_both_ends() -> None:
    track = np.arange(1, 21, dtype=np.float32).reshape(1, -1).repeat(2, 0)
    mixture = Mixture(iter(np.split(track, [3, 4, 4, 11], axis=1)), TWICE, NUMPY)
    assert window(mixture, -3, 5)[0].tolist() == [0, 0, 0, 2, 4, 6, 8, 10]
    assert window(mixture, 2, 12)[1].tolist() == list(range(6, 26, 2))
    assert mixture.read(2, 12)[1].tolist() == list(range(3, 13))
    mixture.forget(6)
    assert window(mixture, 6, 8)[0].tolist() == [14, 16]
    assert window(mixture, 18, 25)[0].tolist() == [38, 40, 0, 0, 0, 0, 0]  # the track has ended
    assert mixture.read(18, 20)[0].tolist() == [19, 20]
    mixture.forget(20)
    assert window(mixture, 20, 22)[0].tolist() == [0, 0]


def test_windows_may_have_reversed_pieces() -> None:
    track = np.arange(1, 11, dtype=np.float32).reshape(1, -1).repeat(2, 0)
    mixture = Mixture(iter(np.split(track, [3, 4, 8], axis=1)), TWICE, NUMPY)
    out = np.full((2, 12), np.nan, np.float32)
    mixture.window([Piece(0, 1, 6, reversed=True), Piece(5, 0, 6)], out)
    assert out[0].tolist() == [12, 10, 8, 6, 4, 2, 4, 6, 8, 10, 12, 0]


def test_the_mixture_discards_old_samples() -> None:
    """Even those before the first read, as in a resumed run."""
    blocks = (np.full((2, 10), k, np.float32) for k in range(1000))
    mixture = Mixture(blocks, TWICE, NUMPY)
    mixture.forget(5005)
    assert window(mixture, 5005, 5015)[0].tolist() == [1000] * 5 + [1002] * 5
    assert held(mixture) <= 20
    for start in range(5015, 9000, 7):
        mixture.forget(start)
        assert mixture.read(start, start + 30)[0, 0] == start // 10
        assert window(mixture, start, start + 30)[0, -1] == (start + 29) // 10 * 2
        assert held(mixture) <= 50


def held(mixture: Mixture) -> int:
    """Return how many samples are retained."""
    assert len(mixture._read) == len(mixture._normalized) == len(mixture._starts)
    return sum(part.shape[1] for part in mixture._read)


def finalized(join: OverlapAdd, start: int, stop: int) -> FloatArray:
    """Return and drop finalized samples."""
    out = np.full((len(join._sum), 2, stop - start), np.nan, np.float32)
    join.average(start, stop, out)
    join.drop(stop)
    return out


def test_weights_are_a_triangle_from_the_left_edge() -> None:
    """Also for a short chunk, which Demucs truncates on the right."""
    grid = TriangleGrid(9, 8, 0.5)  # chunks 0-8, 4-9 and 8-9
    join = OverlapAdd(grid, 1, 0, NUMPY)
    parts = []
    for index in range(len(grid)):
        join.add(grid.chunk(index), np.full((1, 2, 8), index + 1, np.float32), 0, 9)
        parts.append(finalized(join, grid.finalized(index), grid.finalized(index + 1)))
    got = np.concatenate(parts, axis=2)[0, 0]
    triangle = [1, 2, 3, 4, 4, 3, 2, 1]
    expected = [1.0] * 4
    expected += [
        (triangle[4 + k] + 2 * triangle[k]) / (triangle[4 + k] + triangle[k]) for k in range(4)
    ]
    expected += [(2 * triangle[4] + 3 * triangle[0]) / (triangle[4] + triangle[0])]
    assert got == pytest.approx(expected)


class SmallPieces(NumpyArrays):
    """Arrays that are processed a few samples at a time."""

    piece = 7


@wide
@given(grids, st.sampled_from([NUMPY, SmallPieces()]), st.data())
def test_overlap_add_is_the_weighted_average_to_the_bit(
    grid: TriangleGrid, arrays: NumpyArrays, data: st.DataObject
) -> None:
    """It does not depend on where it starts, so a resumed run gives identical samples."""
    rng = np.random.default_rng(grid.frames)
    estimates = rng.standard_normal((len(grid), 2, 2, grid.segment)).astype(np.float32)

    def joined(begin: int) -> FloatArray:
        join = OverlapAdd(grid, 2, begin, arrays)
        taken, at = [], begin
        for index in range(grid.first_reaching(begin), len(grid)):
            chunk, stop = grid.chunk(index), grid.finalized(index + 1)
            cut = data.draw(st.integers(at, grid.frames))
            join.add(chunk, estimates[index], at, cut)
            join.add(chunk, estimates[index], cut, grid.frames)
            if stop > at:
                middle = data.draw(st.integers(at, stop - 1))
                taken += [finalized(join, at, middle), finalized(join, middle, stop)]
                at = stop
        return np.concatenate(taken, axis=2)

    expected = whole(grid, estimates)
    assert np.array_equal(joined(0), expected)
    begin = data.draw(st.integers(0, grid.frames - 1))
    assert np.array_equal(joined(begin), expected[:, :, begin:])


def whole(grid: TriangleGrid, estimates: FloatArray) -> FloatArray:
    """Overlap-add all estimates of a track in memory."""
    total = np.zeros((estimates.shape[1], 2, grid.frames), np.float32)
    weights = np.zeros(grid.frames, np.float32)
    for index, estimate in enumerate(estimates):
        chunk = grid.chunk(index)
        start = max(0, chunk.start)
        if chunk.stop <= start:
            continue  # with a large offset, the first chunks end before the track begins
        weight = grid.weights[chunk.weight][start - chunk.start : chunk.stop - chunk.start]
        place = slice(start - chunk.window, chunk.stop - chunk.window)
        total[:, :, start : chunk.stop] += weight * estimate[:, :, place]
        weights[start : chunk.stop] += weight
    return total / weights
