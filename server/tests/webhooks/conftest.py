from __future__ import annotations

import pytest

from aistemsplitter_server.kit import addresses
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.worker.context import WorkerContext


@pytest.fixture
def context(settings: Settings, database: Database, server_secrets: Secrets) -> WorkerContext:
    """What a worker's jobs get; loopback is allowed."""
    return WorkerContext(
        settings,
        database,
        server_secrets,
        configured(settings, server_secrets),
        Outgoing(addresses.networks("127.0.0.1")),
        "wrk_1",
    )
