"""A worker's part that measures uploads, in the test's process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Dispatcher
from aistemsplitter_server.worker.measuring import Measuring


@contextmanager
def measuring(context: WorkerContext) -> Iterator[None]:
    """Measure uploads until the block ends."""
    dispatcher = Dispatcher(context, Measuring())
    dispatcher.start()
    try:
        yield
    finally:
        context.stopping.set()
        assert dispatcher.wait(30)
