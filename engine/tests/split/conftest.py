from __future__ import annotations

import pytest

from fakes import FakeRuntime, use_fake


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeRuntime]:
    """Let all networks be fakes; gives those that were opened."""
    return use_fake(monkeypatch)
