from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from aistemsplitter_server.api import create_app
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from serving import serving


@pytest.fixture
def client(
    settings: Settings, database: Database, server_secrets: Secrets
) -> Iterator[httpx2.Client]:
    """A client of the real server on a loopback port."""
    with serving(create_app(settings, database, server_secrets)) as client:
        yield client
