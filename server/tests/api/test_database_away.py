"""Postgres stops and starts again, in a server of this module's own."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

import databases
import postgres
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits.tables import Split
from customers import Customer, customer
from peers import Peer, answers
from postgres import Postgres
from processes import ended, running, split, state, until, upload

AWAY = 20.0  # seconds


@pytest.fixture
def server() -> Iterator[Postgres]:
    with postgres.required() as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: Postgres) -> Settings:
    return Settings(data=tmp_path / "data", database_url=server.url("postgres"))


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    databases.migrate_up(settings.database)
    database = Database(settings.database)
    yield database
    database.close()


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    return customer(database, server_secrets, seconds=3600)


def test_the_api_reports_the_outage_and_recovers(
    client: httpx2.Client, someone: Customer, server: Postgres
) -> None:
    def ask(path: str = "/v1/credits") -> httpx2.Response:
        return client.get(path, headers=someone.headers)

    def ask_many() -> list[httpx2.Response]:
        with ThreadPoolExecutor(8) as pool:
            return list(pool.map(ask, ["/v1/credits"] * 24))

    assert {answer.status_code for answer in ask_many()} == {200}  # many connections are open now
    server.stop()
    for answer in [*ask_many(), ask("/readyz")]:
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["code"] == "UNAVAILABLE"
    assert ask("/healthz").status_code == 200
    server.start()
    assert {answer.status_code for answer in ask_many()} == {200}
    assert ask("/readyz").status_code != 500
    server.stop()
    server.start()  # idle connections are dead now
    assert {answer.status_code for answer in ask_many()} == {200}


def test_an_outage_loses_and_repeats_nothing(
    settings: Settings, server: Postgres, someone: Customer, long_song: Path
) -> None:
    """One song is being split while a client keeps submitting another, as the SDKs do."""
    with (
        running(settings) as service,
        Peer([answers(200)]) as receiver,
        service.api() as client,
    ):
        client.headers.update(someone.headers)
        worker = service.start("worker")
        first = split(client, upload(client, long_song), webhookUrl=receiver.url)
        source = {"type": "uploaded_file", "uploadId": upload(client)}
        body = {"input": source, "stemModel": "htdemucs_tiny", "webhookUrl": receiver.url}

        def order() -> httpx2.Response:
            return client.post("/v1/audio/splits", json=body, headers={"Idempotency-Key": "once"})

        until(lambda: state(client, first)["progress"] > 0)
        server.stop()
        back = time.monotonic() + AWAY
        while time.monotonic() < back:
            assert order().status_code == 503
            time.sleep(0.5)  # between two of the client's attempts
        server.start()
        answer = until(lambda: (answer := order()).status_code == 200 and answer)
        second = answer.json()["data"]["id"]
        for split_id in (first, second):
            assert ended(client, split_id)["status"] == "succeeded"
            with someone.database.read() as session:
                assert session.get_one(Split, split_id).attempt == 1, (
                    "the separation was started again"
                )
        until(lambda: len(receiver.requests) >= 2)
        delivered = sorted(json.loads(request.body)["data"]["id"] for request in receiver.requests)
        assert delivered == sorted([first, second])
        assert someone.balance == 3600 - 180 - 20
        assert worker.poll() is None
        for line in service.log().splitlines():
            json.loads(line)  # no line is part of a traceback
