"""Postgres goes away and comes back; no test may do that to the server that all share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

import databases
import postgres
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from postgres import Postgres


@pytest.fixture
def server() -> Iterator[Postgres]:
    try:
        with postgres.running() as server:
            yield server
    except postgres.NoPostgres as reason:
        pytest.skip(f"no Postgres: {reason}")


@pytest.fixture
def settings(tmp_path: Path, server: Postgres) -> Settings:
    return Settings(data=tmp_path / "data", database_url=server.url("postgres"))


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    databases.migrate_up(settings.database)
    database = Database(settings.database)
    yield database
    database.close()


def test_the_api_says_so_meanwhile_and_recovers_by_itself(
    client: httpx2.Client, database: Database, server_secrets: Secrets, server: Postgres
) -> None:
    with database.write() as session:
        account = accounts.create_account(session, "someone", free_seconds=600)
        key = accounts.create_key(session, server_secrets, account.id)
    bearer = {"Authorization": f"Bearer {key.api_key}"}

    def ask(path: str = "/v1/credits") -> httpx2.Response:
        return client.get(path, headers=bearer)

    def ask_many() -> list[httpx2.Response]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(ask, ["/v1/credits"] * 24))

    assert {answer.status_code for answer in ask_many()} == {200}  # many connections are open now
    server.stop()
    for answer in [*ask_many(), ask("/readyz")]:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["code"] == "UNAVAILABLE"
    assert ask("/healthz").status_code == 200
    time.sleep(1)
    server.start()
    assert {answer.status_code for answer in ask_many()} == {200}
    assert ask("/readyz").status_code != 500
    server.stop()
    server.start()  # and nobody has noticed
    assert {answer.status_code for answer in ask_many()} == {200}
