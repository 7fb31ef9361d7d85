"""One service for these tests of a process; each test has a person and songs of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import httpx2
import numpy as np
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits.tables import Split
from customers import Customer
from databases import Databases, migrated
from played import Player, Tracks, noise
from player_pages import STEMS, session_of, signed_in_page
from serving import serving
from visitors import SESSION, Visitor, person


@dataclass(frozen=True)
class Shared:
    """A running service, which its tests share."""

    settings: Settings
    database: Database
    app: FastAPI
    client: httpx2.Client
    numbers: Iterator[int] = field(default_factory=count)  # for names that are used once


@pytest.fixture(scope="session")
def shared_service(
    tmp_path_factory: pytest.TempPathFactory, sqlite_databases: Databases
) -> Iterator[Shared]:
    """The service that all these tests share."""
    data = tmp_path_factory.mktemp("shared") / "data"
    settings = Settings(data=data, database_url=sqlite_databases.url(data))
    with migrated(sqlite_databases, settings.database) as database:
        app = create_app(settings, database, secrets.load(data))
        with serving(app) as client:
            yield Shared(settings, database, app, client)


@pytest.fixture
def settings(shared_service: Shared) -> Settings:
    """The service's settings."""
    return shared_service.settings


@pytest.fixture
def database(shared_service: Shared) -> Database:
    """The service's database."""
    return shared_service.database


@pytest.fixture
def app(shared_service: Shared) -> FastAPI:
    """The service's application."""
    return shared_service.app


@pytest.fixture
def client(shared_service: Shared) -> httpx2.Client:
    """A client of the service."""
    return shared_service.client


@pytest.fixture
def ada(shared_service: Shared, server_secrets: Secrets) -> Person:
    """A new person with her own account."""
    email = f"ada{next(shared_service.numbers)}@example.org"
    return person(shared_service.database, server_secrets, email)


@pytest.fixture
def session_token(database: Database, server_secrets: Secrets, ada: Person) -> str:
    """The cookie of Ada's signed-in browser."""
    return session_of(database, server_secrets, ada)


@pytest.fixture
def signed_in(visitor: Visitor, session_token: str) -> Visitor:
    """Ada's browser without a page, signed in."""
    visitor.cookies[SESSION] = session_token
    return visitor


@pytest.fixture
def base(client: httpx2.Client) -> str:
    """Base URL of the service, with the host name for which browsers store secure cookies."""
    return f"http://localhost:{client.base_url.port}"


@pytest.fixture
def stems() -> Tracks:
    """Twelve seconds of three stems."""
    return {name: noise(12, seed) for seed, name in enumerate(STEMS)}


@pytest.fixture
def player(app: FastAPI, database: Database, base: str, tmp_path: Path) -> Player:
    """Stores songs in the service."""
    return Player(app, database, tmp_path, base)


@pytest.fixture
def song(player: Player, hers: Customer, stems: Tracks) -> Split:
    """One of Ada's songs, split and ready to play."""
    split = hers.split(12)
    mixture = np.sum([*stems.values()], axis=0, dtype=np.int16)
    player.store(split, stems | {"mixture": mixture})
    return split


@pytest.fixture
def page(browser: Browser, base: str, session_token: str) -> Iterator[Page]:
    """Ada's browser, signed in; the test fails on errors and policy violations."""
    with signed_in_page(browser, base, session_token) as page:
        yield page
