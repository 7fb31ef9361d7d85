from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import Customer, customer
from processes import Service, running


@pytest.fixture
def service(settings: Settings, database: Database) -> Iterator[Service]:  # noqa: ARG001  # migrates it
    """A service on the test's database, without any processes yet."""
    with running(settings) as service:
        yield service


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with an hour of credits."""
    return customer(database, server_secrets, seconds=3600)


@pytest.fixture
def client(service: Service, someone: Customer) -> Iterator[httpx2.Client]:
    """A client with the customer's key. The API runs in this process, so it starts sooner."""
    with service.api_in_this_process(someone.database) as client:
        client.headers.update(someone.headers)
        yield client
