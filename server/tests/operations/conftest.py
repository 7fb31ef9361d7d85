from __future__ import annotations

import pytest

from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.worker.context import WorkerContext


@pytest.fixture
def storage(context: WorkerContext) -> Storage:
    """The storage of the test's service."""
    return context.storage
