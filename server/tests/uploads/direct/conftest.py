"""A service whose files are in a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.worker.context import WorkerContext
from databases import Databases
from measuring_worker import measuring


@pytest.fixture
def settings(bucket_address: str, tmp_path: Path, databases: Databases) -> Settings:
    """Settings of a service whose files are in a bucket."""
    data = tmp_path / "data"
    return Settings(data=data, database_url=databases.url(data), storage=bucket_address)


@pytest.fixture
def storage(settings: Settings, server_secrets: Secrets) -> Storage:
    """The storage of the service."""
    return configured(settings, server_secrets)


@pytest.fixture
def _worker(context: WorkerContext) -> Iterator[None]:
    """A worker that measures uploads."""
    with measuring(context):
        yield


@pytest.fixture
def web() -> Iterator[httpx2.Client]:
    """A client without a key, of the bucket."""
    with httpx2.Client(trust_env=False, timeout=60) as client:
        yield client
