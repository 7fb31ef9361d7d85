from __future__ import annotations

import os
import wave
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import numpy as np
import pytest
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from fastapi import FastAPI
from pydantic import SecretStr

import databases as kinds
import postgres
import prepared
import seaweed as s3_server
from aistemsplitter_server.accounts import people
from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit import addresses, secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.outgoing import Outgoing
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer, customer
from databases import Databases
from fake_stripe import FakeStripe, fake_stripe
from scraping import METRICS_TOKEN
from seaweed import Seaweed
from serving import NO_CERTIFICATES, serving


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide the developer's own settings and .env file."""
    for name in list(os.environ):
        if name.startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def _cheap_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash passwords at the least cost; by default each takes a tenth of a second."""
    monkeypatch.setattr(people, "_hasher", PasswordHasher.from_parameters(CHEAPEST))


@pytest.fixture(autouse=True, scope="session")
def _prepared() -> Iterator[None]:
    with prepared.prepared():
        yield


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a Postgres server: TEST_DATABASE_URL, or one started for the tests."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
        return
    with postgres.required() as server:
        yield server.url("postgres")


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> Databases:
    return kinds.Sqlite(tmp_path_factory.mktemp("migrated"))


@pytest.fixture(scope="session")
def postgres_databases(postgres_url: str) -> Iterator[Databases]:
    server = kinds.Postgres(postgres_url)
    yield server
    server.close()


@pytest.fixture(scope="session")
def seaweed() -> Iterator[Seaweed]:
    """An S3 server."""
    try:
        with s3_server.running() as server:
            yield server
    except s3_server.NoSeaweed as reason:
        pytest.skip(f"no S3 server: {reason}")


@pytest.fixture
def bucket_address(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty part of a bucket. By default settings name it from now on."""
    environment = seaweed.environment()
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    return environment[f"{PREFIX}STORAGE"]


@pytest.fixture
def bucket(bucket_address: str) -> str:
    """The name of the bucket of ``bucket_address``."""
    return urlsplit(bucket_address).netloc


@pytest.fixture(params=["disk", "s3"])
def stored_on(request: pytest.FixtureRequest) -> str:
    """Where files are stored, so that a test that uses it runs on both."""
    if request.param == "s3":
        request.getfixturevalue("bucket")
    kind: str = request.param
    return kind


@pytest.fixture(params=["sqlite", "postgres"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Both kinds of database, so that a test that uses one runs on both."""
    found: Databases = request.getfixturevalue(f"{request.param}_databases")
    return found


@pytest.fixture
def settings(tmp_path: Path, databases: Databases) -> Settings:
    """Settings with a data folder and a database that do not exist yet."""
    data = tmp_path / "data"
    return Settings(
        data=data, database_url=databases.url(data), metrics_token=SecretStr(METRICS_TOKEN)
    )


@pytest.fixture
def database(settings: Settings, databases: Databases) -> Iterator[Database]:
    """A real database, migrated."""
    with kinds.migrated(databases, settings.database) as database:
        yield database


@pytest.fixture
def server_secrets(settings: Settings) -> Secrets:
    """The secrets of the test's data folder."""
    return secrets.load(settings.data)


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with ten minutes of credits."""
    return customer(database, server_secrets)


@pytest.fixture
def context(settings: Settings, database: Database, server_secrets: Secrets) -> WorkerContext:
    """The context of a worker's jobs; loopback is allowed."""
    return WorkerContext(
        settings,
        database,
        server_secrets,
        configured(settings, server_secrets),
        Outgoing(addresses.networks("127.0.0.1"), tls=NO_CERTIFICATES),
        "wrk_1",
    )


@pytest.fixture
def app(settings: Settings, database: Database, server_secrets: Secrets) -> FastAPI:
    """The API over the test's database."""
    return create_app(settings, database, server_secrets)


@pytest.fixture
def client(app: FastAPI) -> Iterator[httpx2.Client]:
    """A client without a key, of the real server on a loopback port."""
    with serving(app) as client:
        yield client


@pytest.fixture
def stripe() -> Iterator[FakeStripe]:
    """A fake Stripe on loopback."""
    with fake_stripe() as stripe:
        yield stripe


@pytest.fixture(scope="session")
def long_song(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three minutes of noise, which take some six seconds to separate."""
    path = tmp_path_factory.mktemp("long") / "long.wav"
    noise = np.random.default_rng(1).normal(0, 3000, (44100 * 180, 2)).astype("<i2")
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        file.writeframes(noise.tobytes())
    return path
