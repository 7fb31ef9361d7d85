from __future__ import annotations

import pytest

from aistemsplitter_engine import Separator


@pytest.fixture(scope="module")
def tiny() -> Separator:
    """A separator with the small network that ships with the engine."""
    return Separator("htdemucs_tiny", device="cpu", precision="float32")
