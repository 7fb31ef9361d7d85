from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from customers import customer
from databases import Databases
from fake_stripe import FakeStripe
from serving import serving
from shop import Shop


@pytest.fixture
def settings(tmp_path: Path, databases: Databases, stripe: FakeStripe) -> Settings:
    """Settings of a service that sells packs."""
    data = tmp_path / "data"
    chosen: dict[str, Any] = {"data": data, "database_url": databases.url(data), **stripe.settings}
    return Settings(**chosen, pack_prices=(500, 1200, 3000))


@pytest.fixture
def shop(
    settings: Settings, database: Database, server_secrets: Secrets, stripe: FakeStripe
) -> Shop:
    """A service that sells packs, with a buyer."""
    return Shop(settings, database, stripe, customer(database, server_secrets, seconds=600))


@pytest.fixture
def client(shop: Shop, server_secrets: Secrets) -> Iterator[httpx2.Client]:
    """A client of the real server, to which Stripe sends its events."""
    with serving(create_app(shop.settings, shop.database, server_secrets)) as client:
        shop.stripe.callback = f"{client.base_url}/payments/stripe"
        yield client
