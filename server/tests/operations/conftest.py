from __future__ import annotations

import pytest

from aistemsplitter_server.storage.local import LocalStorage
from aistemsplitter_server.worker.context import WorkerContext


@pytest.fixture
def storage(context: WorkerContext) -> LocalStorage:
    """The storage of the test's service."""
    assert isinstance(context.storage, LocalStorage)
    return context.storage
