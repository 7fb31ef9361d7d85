"""The context of a worker's jobs."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from aistemsplitter_server.worker import context
from aistemsplitter_server.worker.context import Use


def test_busy_time_of_songs_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time with two songs in progress counts once, or a worker would be busy for 200 %."""
    now = 0.0
    monkeypatch.setattr(context, "time", SimpleNamespace(monotonic=lambda: now))
    use = Use()
    first, second = use.counted(), use.counted()
    now = 10.0
    with first:
        now = 11.0
        with second:
            now = 14.0
        assert use.busy == 4.0  # it grows with the end of each song
        now = 15.0
    assert use.busy == 5.0
    now = 100.0
    with use.counted():
        now = 101.0
    assert use.busy == 6.0
