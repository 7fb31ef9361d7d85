from __future__ import annotations

import pytest

from fakes import FakeRuntime


@pytest.fixture(autouse=True)
def fakes(fakes: list[FakeRuntime]) -> list[FakeRuntime]:
    """Use fake networks in all tests of this folder."""
    return fakes
