from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from aistemsplitter_server.api import create_app
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import Customer, customer
from serving import serving


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with ten minutes."""
    return customer(database, server_secrets)


@pytest.fixture
def client(
    settings: Settings, database: Database, server_secrets: Secrets, someone: Customer
) -> Iterator[httpx2.Client]:
    """The real server on a loopback port, for someone."""
    with serving(create_app(settings, database, server_secrets)) as client:
        client.headers.update(someone.headers)
        yield client
