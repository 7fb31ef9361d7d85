"""Uploads that clients send to the bucket themselves."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from importlib.util import find_spec

import httpx2
import pytest
from sqlalchemy import select, update

from aistemsplitter import AiStemSplitter
from aistemsplitter_server.accounts import limits
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing, Storage
from aistemsplitter_server.uploads import measurements, measuring_queue
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.measuring import Measuring
from customers import Customer
from databases import only_sqlite
from processes import SONG, until
from sweeps import sweep
from uploads.direct.reserving import DIRECT, put, reserve, uploads_of
from uploads.sending import BODY, TYPE, by_id, error, row, send, wanted

pytestmark = [
    only_sqlite,
    pytest.mark.skipif(find_spec("boto3") is None, reason="needs boto3"),
]

SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.mark.usefixtures("_worker")
def test_an_upload(
    client: httpx2.Client, web: httpx2.Client, someone: Customer, storage: Storage
) -> None:
    reserved = reserve(client, DIRECT | {"Upload-Sha256": SHA256})
    assert reserved["resumable"] is False
    assert reserved["direct"]["url"].startswith(f"{uploads_of(storage).origin()}/")
    assert reserved["uploadUrl"] == reserved["direct"]["url"]
    assert reserved["uploadHeaders"] == reserved["direct"]["headers"]
    source = by_id(reserved["uploadId"])
    assert error(wanted(client, source)) == (409, "CONFLICT")
    assert put(web, reserved) == 200
    made = wanted(client, source)
    assert made.json()["data"]["creditsUsed"] == 20, made.text
    found = row(someone, reserved["uploadId"])
    assert (found.duration_seconds, found.sample_rate) == (20.0, 44100)
    with storage.open(keys.upload(reserved["uploadId"])) as file:
        assert file.read() == BODY
    by_url = {"type": "direct_url", "url": reserved["audioUrl"]}
    assert wanted(client, by_url).json()["data"]["creditsUsed"] == 20


def test_only_clients_that_ask_for_it(client: httpx2.Client) -> None:
    """Published clients POST the bytes, which no bucket takes."""
    reserved = reserve(client, {})
    assert reserved["resumable"] is True
    assert reserved["uploadUrl"].startswith(str(client.base_url))
    assert send(reserved["uploadUrl"]).status_code == 200


def test_without_a_worker(
    client: httpx2.Client,
    web: httpx2.Client,
    context: WorkerContext,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The API measures no file that it has not received, but one of a worker that has died is."""
    monkeypatch.setattr(measurements, "TIMEOUT", 0.2)
    reserved = reserve(client)
    assert put(web, reserved) == 200
    assert error(wanted(client, by_id(reserved["uploadId"]))) == (503, "UNAVAILABLE")
    with context.database.write() as session:
        assert measuring_queue.begin(session, reserved["uploadId"]) is not None
        assert measuring_queue.begin(session, reserved["uploadId"]) is None, "it is claimed"
    with context.database.write() as session:
        session.execute(update(Upload).values(measure_at=times.now()))
    Measuring().run(context, reserved["uploadId"])
    assert wanted(client, by_id(reserved["uploadId"])).json()["data"]["creditsUsed"] == 20


@pytest.mark.usefixtures("_worker")
@pytest.mark.parametrize("key", [None, "order 7"])
def test_the_sdk(
    client: httpx2.Client, someone: Customer, storage: Storage, key: str | None
) -> None:
    with AiStemSplitter(api_key=someone.api_key, base_url=f"{client.base_url}/v1") as sdk:
        for _ in range(2):
            sdk.create_split(SONG, extra_body={"stemModel": "htdemucs_tiny"}, idempotency_key=key)
    with someone.database.read() as session:
        found = session.scalars(select(Upload)).all()
    assert len(found) == (2 if key is None else 1)
    for upload in found:
        assert upload.direct_until is not None
        with storage.open(keys.upload(upload.id)) as file:
            assert file.read() == BODY


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (BODY + b"!", {}),
        (BODY[:-1], {}),
        (BODY, {"Content_Type": "text/html"}),
        (BODY, {"If_None_Match": None}),
        (BODY[:-1] + b"!", {}),
        (BODY, {"x_amz_checksum_sha256": None}),
    ],
)
def test_the_storage_refuses_another_file(
    client: httpx2.Client, web: httpx2.Client, body: bytes, changed: dict[str, str | None]
) -> None:
    reserved = reserve(client, DIRECT | {"Upload-Sha256": SHA256})
    assert put(web, reserved, body, **changed) in (400, 403)
    assert error(wanted(client, by_id(reserved["uploadId"]))) == (409, "CONFLICT")
    assert put(web, reserved) == 200


def test_a_url_writes_one_object_once(
    client: httpx2.Client, web: httpx2.Client, storage: Storage
) -> None:
    reserved, other = reserve(client), reserve(client)
    swapped = dict(reserved["direct"])
    swapped["url"] = swapped["url"].replace(reserved["uploadId"], other["uploadId"])
    assert put(web, {"direct": swapped}) == 403
    assert put(web, reserved) == 200
    assert put(web, reserved, bytes(len(BODY))) == 412
    with storage.open(keys.upload(reserved["uploadId"])) as file:
        assert file.read() == BODY


def test_a_url_expires(client: httpx2.Client, web: httpx2.Client, storage: Storage) -> None:
    reserved = reserve(client)
    request = uploads_of(storage).put(
        keys.upload(reserved["uploadId"]),
        expires_in=timedelta(seconds=1),
        length=len(BODY),
        content_type="audio/flac",
        sha256=None,
    )
    short = {"direct": {"url": request.url, "headers": request.headers}}
    until(lambda: put(web, short) == 403)


@pytest.mark.usefixtures("_worker")
def test_a_repeated_reservation(
    client: httpx2.Client, web: httpx2.Client, someone: Customer
) -> None:
    key = {"Idempotency-Key": "k"}
    first = reserve(client, DIRECT | key)
    again = reserve(client, DIRECT | key)
    assert again["uploadId"] == first["uploadId"]
    assert (again["uploaded"], again["resumable"]) == (False, False)
    body = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": len(BODY)}
    through_us = client.post("/v1/audio/uploads", json=body, headers=key)
    assert error(through_us) == (422, "IDEMPOTENCY_MISMATCH")
    with someone.database.write() as session:
        session.execute(update(Upload).values(direct_until=times.now()))
    again = reserve(client, DIRECT | key)
    assert again["uploadId"] == first["uploadId"]
    assert again["expiresAt"] > times.to_wire(times.now()), "the URL has expired"
    assert put(web, again) == 200
    assert wanted(client, by_id(first["uploadId"])).status_code == 200
    assert reserve(client, DIRECT | key)["uploaded"]
    assert reserve(client, key)["uploaded"]
    other = {"Idempotency-Key": "other"}
    through_us = reserve(client, other)
    same = reserve(client, DIRECT | other)
    assert (same["uploadId"], same["resumable"]) == (through_us["uploadId"], True)
    assert row(someone, same["uploadId"]).direct_until is None


@pytest.mark.usefixtures("_worker")
def test_a_file_that_is_no_audio(
    client: httpx2.Client, web: httpx2.Client, storage: Storage
) -> None:
    noise = b"no audio " * 1000
    reserved = reserve(client, contentLength=len(noise))
    assert put(web, reserved, noise) == 200
    for _ in range(2):
        assert error(wanted(client, by_id(reserved["uploadId"]))) == (422, "VALIDATION_ERROR")
    assert storage.info(keys.upload(reserved["uploadId"])).size == 0
    assert put(web, reserved, noise) == 412, "the bytes would not count towards the limit"


def test_limits_count_direct_uploads(
    client: httpx2.Client, web: httpx2.Client, someone: Customer
) -> None:
    def limit(**most: int) -> None:
        with someone.database.write() as session:
            limits.set_limits(session, someone.caller.account_id, most)

    def refused(length: int) -> str:
        body = {"filename": "b", "contentType": "audio/flac", "contentLength": length}
        answer = client.post("/v1/audio/uploads", json=body, headers=DIRECT)
        assert error(answer) == (409, "LIMIT_EXCEEDED")
        return str(answer.json()["error"]["message"])

    limit(open_uploads=1)
    first = reserve(client)
    assert "unfinished uploads" in refused(1)
    assert put(web, first) == 200
    assert "unfinished uploads" in refused(1), "it was not confirmed yet"
    limit(open_uploads=0, stored_bytes=2 * len(BODY))
    assert "stored bytes" in refused(len(BODY) + 1)
    assert reserve(client)["resumable"] is False


@pytest.mark.usefixtures("_worker")
def test_expired_uploads(
    client: httpx2.Client,
    web: httpx2.Client,
    someone: Customer,
    context: WorkerContext,
    storage: Storage,
    settings: Settings,
) -> None:
    """One that has arrived is kept for as long as others; another one is deleted."""
    arrived, late = reserve(client), reserve(client)
    assert put(web, arrived) == 200
    latest = row(someone, late["uploadId"])
    assert latest.direct_until is not None
    assert latest.expires_at > latest.direct_until, "the bytes may still be arriving"
    with someone.database.write() as session:
        session.execute(update(Upload).values(expires_at=times.now(), direct_until=times.now()))
    sweep(context)
    found = row(someone, arrived["uploadId"])
    assert found.stored_at is not None
    assert found.expires_at == found.stored_at + timedelta(hours=settings.retention_hours)
    assert row(someone, late["uploadId"]).swept_at is not None
    assert wanted(client, by_id(arrived["uploadId"])).status_code == 200
    assert error(wanted(client, by_id(late["uploadId"]))) == (404, "NOT_FOUND")

    assert put(web, late) == 200  # the storage's clock is behind ours
    sweep(context, "orphans")
    with pytest.raises(Missing):
        storage.info(keys.upload(late["uploadId"]))


@pytest.mark.usefixtures("_worker")
def test_the_url_of_a_deleted_upload_stores_nothing(
    client: httpx2.Client, web: httpx2.Client, context: WorkerContext, storage: Storage
) -> None:
    """Its bytes would not count towards what the account may store."""
    arrived, never = reserve(client), reserve(client)
    assert put(web, arrived) == 200
    assert wanted(client, by_id(arrived["uploadId"])).status_code == 200
    (split,) = client.get("/v1/audio/splits").json()["data"]["items"]
    assert client.post(f"/v1/audio/splits/{split['id']}/cancel").status_code == 200
    for upload in (arrived, never):
        path = f"/v1/audio/uploads/{upload['uploadId']}"
        assert client.delete(path).status_code == 200
    sweep(context)
    for upload in (arrived, never):
        assert storage.info(keys.upload(upload["uploadId"])).size == 0
        assert put(web, upload) == 412
    sweep(context, "orphans", after=timedelta(hours=2))  # the URLs have expired
    assert [*storage.names(keys.UPLOADS)] == []


def test_invalid_headers(client: httpx2.Client) -> None:
    body = {"filename": "a", "contentType": "audio/flac", "contentLength": 1}
    for headers in ({"Upload-Sha256": SHA256[1:]}, {"Direct-Upload": "perhaps"}):
        answer = client.post("/v1/audio/uploads", json=body, headers=TYPE | headers)
        assert error(answer) == (422, "VALIDATION_ERROR")
