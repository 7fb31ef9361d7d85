from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

from aistemsplitter import AiStemSplitter, _core, _wait
from aistemsplitter._http import exchange
from clients import CERTIFICATES, KEY, Runner
from downloads import STEM
from loopback import Loopback


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("API_KEY", "BASE_URL", "WEBHOOK_SECRET"):
        monkeypatch.delenv(f"AISTEMSPLITTER_{name}", raising=False)


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shorten the pauses, whose real lengths test_core.py tests."""
    monkeypatch.setattr(_core, "FIRST_PAUSE", 0.002)
    monkeypatch.setattr(_core, "LONGEST_PAUSE", 0.01)
    monkeypatch.setattr(_wait, "FIRST_INTERVAL", 0.01)
    monkeypatch.setattr(_wait, "LONGEST_INTERVAL", 0.05)


@pytest.fixture(autouse=True)
def _one_tls_context(monkeypatch: pytest.MonkeyPatch) -> None:
    """Share one TLS context, because loading the system's certificates is slow."""
    options = exchange.options
    monkeypatch.setattr(exchange, "options", lambda: {**options(), "verify": CERTIFICATES})


@pytest.fixture
def loopback() -> Iterator[Loopback]:
    """A real HTTP server with a fake service and scripted faults."""
    with Loopback() as server:
        yield server


TRIO = pytest.param(
    "trio", marks=pytest.mark.skipif(find_spec("trio") is None, reason="trio is not installed")
)


@pytest.fixture(params=["sync", "asyncio", TRIO])
def kind(request: pytest.FixtureRequest) -> Any:
    """The kind of client: synchronous, or asynchronous on one of the event loops."""
    return request.param


@pytest.fixture(params=["asyncio", TRIO])
def backend(request: pytest.FixtureRequest) -> Any:
    """The event loop of the asynchronous client."""
    return request.param


@pytest.fixture
def client(kind: str, loopback: Loopback) -> Any:
    """A client of the loopback server."""
    return Runner(kind, base_url=loopback.url)


@pytest.fixture
def split_id(loopback: Loopback) -> str:
    """A split that has succeeded and whose stems are ``STEM``."""
    loopback.service._stem_audio = STEM
    with AiStemSplitter(KEY, base_url=loopback.url) as client:
        job = client.submit(audio_url="https://example.com/song.mp3")
    loopback.service.finish(job.id)
    loopback.seen.clear()
    return job.id
