"""The chunks of a track."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.families.base import Chunk
from aistemsplitter_engine.families.htdemucs.grid import TriangleGrid
from grids import grids, wide


@wide
@given(grids)
def test_chunks_follow_each_other_and_cover_the_track(grid: TriangleGrid) -> None:
    chunks = [grid.chunk(index) for index in range(len(grid))]
    assert [c.start for c in chunks] == list(range(-grid.offset, grid.frames, grid.stride))
    for chunk in chunks:
        length = chunk.stop - chunk.start
        assert length == min(grid.segment, grid.frames - chunk.start)
        assert chunk.start - chunk.window == (grid.segment - length) // 2  # in the middle
    assert chunks[-1].stop == grid.frames


@wide
@given(grids, st.data())
def test_finalized_samples_and_required_context(grid: TriangleGrid, data: st.DataObject) -> None:
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
        TriangleGrid(100, 10, overlap)


def test_the_numbers_of_the_official_models() -> None:
    grid = TriangleGrid(10_000_000, 343_980, 0.25)
    assert grid.stride == 257_985
    assert grid.chunk(1) == Chunk(257_985, 257_985 + 343_980, 257_985)
    short = TriangleGrid(100_001, 343_980, 0.25).chunk(0)
    assert short == Chunk(0, 100_001, -121_989)  # 243,979 are missing, the odd one at the end
