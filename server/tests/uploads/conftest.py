from __future__ import annotations

import httpx2
import pytest

from customers import Customer


@pytest.fixture
def client(client: httpx2.Client, someone: Customer) -> httpx2.Client:
    """A client with the customer's key."""
    client.headers.update(someone.headers)
    return client
