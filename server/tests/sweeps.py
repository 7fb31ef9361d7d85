"""Run sweeps in tests."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import patch

from aistemsplitter_server.kit import times
from aistemsplitter_server.worker import sweeping
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.sweeps import sweeps

MOMENT = timedelta(milliseconds=1)


def sweep(context: WorkerContext, *names: str, after: timedelta = MOMENT) -> None:
    """Run the sweeps with these names, in the usual order; by default all but the queue's.

    Args:
        after: Time by which the clock is advanced.
    """
    now = times.now() + after
    with patch.object(times, "now", lambda: now):
        for each in sweeps():
            if each.name in names or (not names and each.name != "jobs"):
                sweeping.run(context, each)
