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
PATIENCE = 120_000  # ms; machines that run tests may be busy
expect.set_options(timeout=PATIENCE)


@pytest.fixture
def visitor(client: httpx2.Client) -> Visitor:
    """Someone who is not signed in."""
    return Visitor(client)


@pytest.fixture
def ada(database: Database, server_secrets: Secrets) -> Person:
    """Someone with an account of her own."""
    return person(database, server_secrets, EMAIL)


@pytest.fixture
def signed_in(visitor: Visitor, ada: Person) -> Visitor:
    """Ada's browser, signed in."""
    assert visitor.sign_in(ada.email).status_code == 303
    return visitor


@pytest.fixture
def stranger(client: httpx2.Client, database: Database, server_secrets: Secrets) -> Visitor:
    """Someone of another account, signed in."""
    visitor = Visitor(client)
    eve = person(database, server_secrets, "eve@example.org")
    assert visitor.sign_in(eve.email).status_code == 303
    return visitor


@pytest.fixture
def hers(database: Database, ada: Person) -> Customer:
    """What Ada has, as if she were a caller of the API."""
    return customers.of(database, ada.account_id, ada.id)


@pytest.fixture
def adas(database: Database, server_secrets: Secrets, ada: Person) -> Customer:
    """Ada as the API knows her, with a key of hers."""
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


@pytest.fixture(scope="module")  # while it is there, this thread counts as an event loop's
def browser() -> Iterator[Browser]:
    """A real Chromium. Open the pages as http://localhost:PORT: there it keeps safe cookies."""
    path = chromium()
    if path is None:
        pytest.skip("no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*FLAGS])
        browser.on("context", lambda context: context.set_default_timeout(PATIENCE))
        yield browser
        browser.close()
