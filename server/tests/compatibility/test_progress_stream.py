"""The SDK and the service's progress stream agree on how long it may be silent."""

from __future__ import annotations

from aistemsplitter import _wait
from aistemsplitter_server.splits import stream


def test_a_heartbeat_comes_before_the_sdk_takes_the_stream_for_dead() -> None:
    """Otherwise every wait in a queue would poll and reconnect all the time."""
    assert stream.HEARTBEAT + 3 < _wait.QUIET
