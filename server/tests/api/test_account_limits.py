"""The limits of an account, in every place that enforces them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from starlette.types import Message

from aistemsplitter_server.accounts import limits
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import LimitExceeded
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import queries as splits
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.retries import retry_failed
from aistemsplitter_server.splits.stream import EventStream, Streams
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.uploads.tables import Upload
from customers import Customer, customer
from worker_calls import fetched

FILE = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": 1000}


def limit(someone: Customer, **values: int) -> None:
    with someone.database.write() as session:
        limits.set_limits(session, someone.caller.account_id, values)


def reserve(client: httpx2.Client, someone: Customer, **fields: Any) -> httpx2.Response:
    return client.post("/v1/audio/uploads", json=FILE | fields, headers=someone.headers)


def make(client: httpx2.Client, someone: Customer, body: dict[str, Any]) -> httpx2.Response:
    return client.post("/v1/audio/splits", json=body, headers=someone.headers)


def refused(answer: httpx2.Response) -> tuple[str, int]:
    """Return the exceeded limit and its value."""
    assert answer.status_code == 409, answer.text
    error = answer.json()["error"]
    assert list(error) == ["code", "message", "limit", "maximum"]
    assert error["code"] == "LIMIT_EXCEEDED"
    return error["limit"], error["maximum"]


def stored(someone: Customer) -> int:
    with someone.database.read() as session:
        return splits.stored_bytes(session, someone.caller.account_id)


def test_unfinished_uploads(client: httpx2.Client, someone: Customer) -> None:
    limit(someone, open_uploads=2)
    first = reserve(client, someone).json()["data"]["uploadId"]
    assert reserve(client, someone).status_code == 200
    assert refused(reserve(client, someone)) == ("openUploads", 2)
    with someone.database.write() as session:
        session.get_one(Upload, first).stored_at = times.now()
    assert reserve(client, someone).status_code == 200


def test_simultaneous_reservations_stay_within_the_limit(
    client: httpx2.Client, someone: Customer
) -> None:
    limit(someone, open_uploads=3)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: reserve(client, someone).status_code, range(16)))
    assert answers.count(200) == 3  # of the others, some may find the database busy


def test_stored_bytes_count_reserved_uploads(client: httpx2.Client, someone: Customer) -> None:
    limit(someone, stored_bytes=2500)
    assert [reserve(client, someone).status_code for _ in range(2)] == [200, 200]
    assert refused(reserve(client, someone)) == ("storedBytes", 2500)
    assert reserve(client, someone, contentLength=500).status_code == 200
    assert stored(someone) == 2500


def test_stored_bytes_count_expected_and_existing_stems(
    client: httpx2.Client, someone: Customer
) -> None:
    upload = someone.upload(10)  # 1,000 bytes
    stems = 4 * 10 * 44100 * 4
    limit(someone, stored_bytes=1000 + stems)
    first = make(client, someone, someone.request(upload)).json()["data"]["id"]
    assert stored(someone) == 1000 + stems
    assert refused(make(client, someone, someone.request(upload))) == (
        "storedBytes",
        1000 + stems,
    )
    assert someone.balance == 590  # of the two, one was charged
    with someone.database.write() as session:
        service.fail(session, session.get_one(Split, first), "INTERNAL", "It broke.")
    assert stored(someone) == 1000
    assert make(client, someone, someone.request(upload)).status_code == 200


def test_waiting_splits_count_however_they_were_created(
    client: httpx2.Client, someone: Customer, settings: Settings
) -> None:
    failed = someone.split(1)
    with someone.database.write() as session:
        service.fail(session, session.get_one(Split, failed.id), "INTERNAL", "It broke.")
    limit(someone, queued_splits=1)
    someone.split(1)
    source = {"type": "direct_url", "url": "https://example.com/song.mp3"}
    by_url = {"input": source, "stemModel": "htdemucs_tiny"}
    by_upload = someone.request(someone.upload(1))
    for body in (by_url, by_upload):
        assert refused(make(client, someone, body)) == ("queuedSplits", 1)
    with pytest.raises(LimitExceeded), someone.database.write() as session:
        retry_failed(session, settings, session.get_one(Split, failed.id))


def test_simultaneous_splits_stay_within_the_limit(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    someone = customer(database, server_secrets, test=True)  # spends nothing: no charge holds it
    limit(someone, queued_test_splits=3)
    body = someone.request(someone.upload(1))
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: make(client, someone, body).status_code, range(16)))
    assert answers.count(200) == 3  # of the others, some may find the database busy


def test_test_keys_have_a_separate_limit(
    client: httpx2.Client, someone: Customer, server_secrets: Secrets
) -> None:
    limit(someone, queued_splits=1, queued_test_splits=1)
    with someone.database.write() as session:
        key = accounts.create_key(session, server_secrets, someone.caller.account_id, test=True)
    caller = accounts.authenticate(someone.database, server_secrets, key.api_key)
    tester = Customer(someone.database, caller, key.api_key, key.webhook_secret)
    bodies = [(who, who.request(who.upload(1, is_test=who is tester))) for who in (someone, tester)]
    assert [make(client, *each).status_code for each in bodies] == [200, 200]
    assert [refused(make(client, *each))[0] for each in bodies] == [
        "queuedSplits",
        "queuedTestSplits",
    ]


def test_a_fetched_song_needs_storage_space(someone: Customer, settings: Settings) -> None:
    small = settings.model_copy(update={"account_stored_bytes": 1000})
    first, second = (someone.fetch(f"https://example.com/{name}.mp3") for name in ("a", "b"))
    with pytest.raises(LimitExceeded):
        fetched(someone, small, first, seconds=10, size=100)
    assert (someone.balance, stored(someone)) == (600, 0)
    fetched(someone, settings, second, seconds=10, size=100)
    assert (someone.balance, stored(someone)) == (590, 100 + 4 * 10 * 44100 * 4)


def test_keys(someone: Customer, server_secrets: Secrets) -> None:
    def make_key() -> str:
        with someone.database.write() as session:
            return accounts.create_key(
                session, server_secrets, someone.caller.account_id, limits=Limits(keys=2)
            ).id

    second = make_key()
    with pytest.raises(LimitExceeded, match=r"limit of API keys \(2\)"):
        make_key()
    with someone.database.write() as session:
        accounts.revoke_key(session, someone.caller.account_id, second)
    make_key()


def test_streams(client: httpx2.Client, someone: Customer) -> None:
    limit(someone, streams=1)
    url = f"/v1/audio/splits/{someone.split(1).id}/events"
    with client.stream("GET", url, headers=someone.headers) as stream:
        assert stream.status_code == 200
        assert refused(client.get(url, headers=someone.headers)) == ("streams", 1)


def test_a_stream_frees_its_place_however_it_ends() -> None:
    async def broken() -> AsyncIterator[str]:
        yield "data: 1\n\n"
        raise RuntimeError("it broke")

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(_message: Message) -> None:
        pass

    async def all_of_them() -> None:
        streams, allowed = Streams(), Limits(streams=1)
        for _ in range(2):
            answer = EventStream(broken(), streams.counted("acc_1", allowed))
            with pytest.raises(RuntimeError, match="it broke"):
                await answer({"type": "http", "asgi": {"spec_version": "2.4"}}, receive, send)

    asyncio.run(all_of_them())
