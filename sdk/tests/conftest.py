from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from aistemsplitter import _core, _wait
from aistemsplitter._http import exchange
from clients import CERTIFICATES
from loopback import Loopback


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "BASE_URL", "WEBHOOK_SECRET"):
        monkeypatch.delenv(f"AISTEMSPLITTER_{name}", raising=False)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses' shape is tested apart; here they only cost time."""
    monkeypatch.setattr(_core, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(_core, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(_wait, "FIRST_INTERVAL", 0.01)
    monkeypatch.setattr(_wait, "LONGEST_INTERVAL", 0.05)


@pytest.fixture(autouse=True)
def _one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """To read the system's certificates takes longer than most tests."""
    options = exchange.options
    monkeypatch.setattr(exchange, "options", lambda: {**options(), "verify": CERTIFICATES})


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A real HTTP server that serves a fake service and misbehaves on command."""
    with Loopback() as server:
        yield server


TRIO = pytest.param(
    "trio", marks=pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed")
)


@pytest.fixture(params=["sync", "asyncio", TRIO])
def kind(request: pytest.FixtureRequest) -> Any:
    """Every way in which the client runs."""
    return request.param


@pytest.fixture(params=["asyncio", TRIO])
def backend(request: pytest.FixtureRequest) -> Any:
    """Every event loop."""
    return request.param
