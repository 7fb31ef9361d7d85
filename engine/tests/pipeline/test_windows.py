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
from aistemsplitter_engine.pipeline.windows import Estimate, Mixture, OverlapAdd
from grids import grids, wide

TWICE = MeanAndDeviation(20, 0.0, 0.5)  # normalizes by a factor of 2


def window(mixture: Mixture, start: int, stop: int) -> FloatArray:
    """Return the window of a range, which is silent before the track begins."""
    pieces = [Piece(max(0, -start), max(0, start), stop)] if stop > 0 else []
    result: FloatArray = mixture.window(pieces, stop - start)
    return result


def forget(mixture: Mixture, before: int) -> None:
    mixture.forget_read(before)
    mixture.forget_windows(before)


def test_windows_are_normalized_and_silent_past_both_ends() -> None:
    track = np.arange(1, 21, dtype=np.float32).reshape(1, -1).repeat(2, 0)
    mixture = Mixture(iter(np.split(track, [3, 4, 4, 11], axis=1)), TWICE, NUMPY, tape=20)
    assert window(mixture, -3, 5)[0].tolist() == [0, 0, 0, 2, 4, 6, 8, 10]
    assert window(mixture, -3, 0)[0].tolist() == [0, 0, 0]
    assert window(mixture, 2, 12)[1].tolist() == list(range(6, 26, 2))
    assert mixture.read(2, 12)[1].tolist() == list(range(3, 13))
    assert mixture.read(3, 4)[1].tolist() == [4]
    forget(mixture, 6)
    assert window(mixture, 6, 8)[0].tolist() == [14, 16]
    assert window(mixture, 18, 25)[0].tolist() == [38, 40, 0, 0, 0, 0, 0]  # the track has ended
    assert mixture.read(18, 20)[0].tolist() == [19, 20]
    forget(mixture, 20)
    assert window(mixture, 20, 22)[0].tolist() == [0, 0]


def test_windows_inside_the_track_are_not_copied() -> None:
    track = np.ones((2, 100), np.float32)
    mixture = Mixture(iter(np.split(track, 10, axis=1)), TWICE, NUMPY, tape=100)
    assert np.shares_memory(window(mixture, 0, 40), window(mixture, 30, 70))
    assert not np.shares_memory(window(mixture, -5, 35), window(mixture, 30, 70))


def test_windows_may_have_reversed_pieces() -> None:
    track = np.arange(1, 11, dtype=np.float32).reshape(1, -1).repeat(2, 0)
    mixture = Mixture(iter(np.split(track, [3, 4, 8], axis=1)), TWICE, NUMPY, tape=10)
    two = mixture.window([Piece(0, 1, 6, reversed=True), Piece(5, 0, 6)], 12)
    assert two[0].tolist() == [12, 10, 8, 6, 4, 2, 4, 6, 8, 10, 12, 0]
    one = mixture.window([Piece(0, 1, 4, reversed=True)], 3)
    assert one[0].tolist() == [8, 6, 4]


@pytest.mark.parametrize("tape", [1, 40, 1000])
def test_the_mixture_discards_old_samples(tape: int) -> None:
    """Even those before the first read, as in a resumed run. Windows stay what they were."""
    blocks = (np.full((2, 10), k, np.float32) for k in range(1000))
    mixture = Mixture(blocks, TWICE, NUMPY, tape=tape)
    forget(mixture, 5005)
    assert window(mixture, 5005, 5015)[0].tolist() == [1000] * 5 + [1002] * 5
    assert held(mixture) <= 20
    views = []
    for start in range(5015, 9000, 7):
        forget(mixture, start)
        assert mixture.read(start, start + 30)[0, 0] == start // 10
        views.append((start, window(mixture, start, start + 30)))
        assert held(mixture) <= 50
        assert mixture._tape.shape[1] <= max(tape, 2 * 50)
    for start, view in views:
        assert view[0].tolist() == [(start + k) // 10 * 2 for k in range(30)]


def held(mixture: Mixture) -> int:
    """Return how many samples are retained as they were read."""
    assert len(mixture._read) == len(mixture._starts)
    return sum(part.shape[1] for part in mixture._read)


def test_the_mixture_skips_what_no_window_needs() -> None:
    """Such as the rest of a block, or blocks that were not received yet."""
    blocks = (np.full((2, 10), k, np.float32) for k in range(100))
    mixture = Mixture(blocks, TWICE, NUMPY, tape=50)
    assert window(mixture, 0, 5)[0, 0] == 0
    mixture.forget_windows(703)
    assert window(mixture, 705, 715)[1].tolist() == [140] * 5 + [142] * 5
    assert mixture._tape.shape[1] == 50


def test_a_track_that_has_become_shorter_is_silent_at_its_end() -> None:
    """The error is raised later, when its end was read."""
    mixture = Mixture(iter([np.ones((2, 20), np.float32)]), TWICE, NUMPY, tape=50)
    assert window(mixture, 10, 25)[0].tolist() == [2] * 10 + [0] * 5
    forget(mixture, 1000)
    assert window(mixture, 1000, 1005)[0].tolist() == [0] * 5
    assert mixture.read(1000, 1005)[0].tolist() == [0] * 5
    assert mixture._tape.shape[1] == 50


def test_silence_is_recognized_by_all_samples_of_a_window() -> None:
    def silent(start: int, stop: int, length: int | None = None) -> bool:
        return mixture.is_silent([Piece(0, start, stop)], length or stop - start)

    track = np.zeros((2, 5000), np.float32)
    track[1, 2550] = 1e-30
    mixture = Mixture(iter(np.split(track, 50, axis=1)), TWICE, NUMPY, tape=5000)
    assert silent(0, 2500)
    assert not silent(2400, 2551)
    assert not silent(2550, 2700)
    assert not silent(0, 10, 11)  # windows are silent past its ends, but may have another level
    assert not mixture.is_silent([Piece(0, 0, 9), Piece(9, 2550, 2551, reversed=True)], 10)
    mixture.forget_windows(2600)
    assert silent(2600, 5000)
    assert not silent(4000, 5001)


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
        samples = np.full((1, 2, 8), index + 1, np.float32)
        join.add(Estimate(grid.chunk(index), samples, grid.finalized(index + 1)), 0, 9)
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
            stop = grid.finalized(index + 1)
            estimate = Estimate(grid.chunk(index), estimates[index], stop)
            cut = data.draw(st.integers(at, grid.frames))
            if stop > at and data.draw(st.booleans()):
                cut = data.draw(st.integers(at, stop))
                taken.append(finalized_with(join, estimate, at, cut))
                at = cut
            join.add(estimate, at, cut)
            join.add(estimate, cut, grid.frames)
            if stop > at:
                middle = data.draw(st.integers(at, stop - 1))
                taken += [finalized(join, at, middle), finalized(join, middle, stop)]
                at = stop
        return np.concatenate(taken, axis=2)

    expected = whole(grid, estimates)
    assert np.array_equal(joined(0), expected)
    begin = data.draw(st.integers(0, grid.frames - 1))
    assert np.array_equal(joined(begin), expected[:, :, begin:])


def finalized_with(join: OverlapAdd, estimate: Estimate, start: int, stop: int) -> FloatArray:
    """Return and drop samples that an estimate finalizes, to which it was not added."""
    parts = [np.empty((len(join._sum), 2, 0), np.float32)]
    for low, high in join.pieces(start, stop):
        out = np.full((len(join._sum), 2, high - low), np.nan, np.float32)
        parts.append(join.average_with(estimate, low, high, out).copy())
    join.drop(stop)
    return np.concatenate(parts, axis=2)


def whole(grid: TriangleGrid, estimates: FloatArray) -> FloatArray:
    """Overlap-add all estimates of a track in memory."""
    total = np.zeros((estimates.shape[1], 2, grid.frames), np.float32)
    last = np.zeros_like(total)
    weights, chunks = np.zeros(grid.frames, np.float32), np.zeros(grid.frames)
    for index, estimate in enumerate(estimates):
        chunk = grid.chunk(index)
        start = max(0, chunk.start)
        if chunk.stop <= start:
            continue  # with a large offset, the first chunks end before the track begins
        weight = grid.weights[chunk.weight][start - chunk.start : chunk.stop - chunk.start]
        samples = estimate[:, :, start - chunk.window : chunk.stop - chunk.window]
        total[:, :, start : chunk.stop] += weight * samples
        last[:, :, start : chunk.stop] = samples
        weights[start : chunk.stop] += weight
        chunks[start : chunk.stop] += 1
    return np.where(chunks == 1, last, total / weights)
