"""Random grids of chunks, for property tests."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from aistemsplitter_engine.families.htdemucs.grid import TriangleGrid

grids = st.builds(
    TriangleGrid,
    frames=st.integers(1, 500),
    segment=st.integers(20, 60),
    overlap=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 0.9]),
    offset=st.integers(0, 100),
)
wide = settings(max_examples=150)
