"""What the tests of the command share."""

from __future__ import annotations

import pytest

from networks import Bag, FakeRuntime, use_fake


@pytest.fixture
def fakes(bag: Bag, monkeypatch: pytest.MonkeyPatch) -> list[FakeRuntime]:  # noqa: ARG001
    return use_fake(monkeypatch)
