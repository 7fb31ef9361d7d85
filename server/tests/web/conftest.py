from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

import customers
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from browsers import FLAGS, chromium
from customers import Customer
from visitors import Visitor, person

EMAIL = "ada@example.org"
PATIENCE = 120_000  # ms; machines that run tests can be busy
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def visitor(client: httpx2.Client) -> Visitor:
    """A visitor who is not signed in."""
    return Visitor(client)


@pytest.fixture
def ada(database: Database, server_secrets: Secrets) -> Person:
    """A person with her own account."""
    return person(database, server_secrets, EMAIL)


@pytest.fixture
def signed_in(visitor: Visitor, ada: Person) -> Visitor:
    """Ada's browser, signed in."""
    assert visitor.sign_in(ada.email).status_code == 303
    return visitor


@pytest.fixture
def stranger(client: httpx2.Client, database: Database, server_secrets: Secrets) -> Visitor:
    """A signed-in person of another account."""
    visitor = Visitor(client)
    eve = person(database, server_secrets, "eve@example.org")
    assert visitor.sign_in(eve.email).status_code == 303
    return visitor


@pytest.fixture
def hers(database: Database, ada: Person) -> Customer:
    """Ada's objects, as a caller of the API would have them."""
    return customers.of(database, ada.account_id, ada.id)


@pytest.fixture
def adas(database: Database, server_secrets: Secrets, ada: Person) -> Customer:
    """Ada's account as the API's customer, with an API key."""
    with database.write() as session:
        key = accounts.create_key(session, server_secrets, ada.account_id, name="<i>shop</i>")
    caller = accounts.authenticate(database, server_secrets, key.api_key)
    return Customer(database, caller, key.api_key, key.webhook_secret)


@pytest.fixture
def owner(client: httpx2.Client, database: Database, server_secrets: Secrets) -> Visitor:
    """The operator's browser, signed in."""
    someone = person(database, server_secrets, "owner@example.org", owner=True)
    visitor = Visitor(client)
    assert visitor.sign_in(someone.email).status_code == 303
    return visitor


@pytest.fixture(scope="module")  # as long as it exists, this thread seems to run an event loop
def browser() -> Iterator[Browser]:
    """A real Chromium; use http://localhost:PORT, where it stores secure cookies."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        browser.on("context", lambda context: context.set_default_timeout(PATIENCE))
        yield browser
        browser.close()
