"""Uploads that clients send to the bucket themselves."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import wave
from collections.abc import Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx2
import pytest
from sqlalchemy import select, update

from aistemsplitter import AiStemSplitter, AsyncAiStemSplitter, TransferProgress
from aistemsplitter.cli import uploading
from aistemsplitter_server.accounts import limits
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.storage import keys, s3_multipart
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import DirectUploads, Missing, Storage
from aistemsplitter_server.uploads import direct, measurements, measuring_queue
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.measuring import Measuring
from customers import Customer
from databases import Databases, only_sqlite
from measuring_worker import measuring
from processes import SONG, until
from sweeps import sweep
from uploads.sending import BODY, TYPE, by_id, error, row, send, wanted

pytestmark = [
    only_sqlite,
    pytest.mark.skipif(find_spec("boto3") is None, reason="needs boto3"),
]

SHA256 = hashlib.sha256(BODY).hexdigest()
DIRECT = {"Direct-Upload": "true"}
PART = 5 << 20  # bytes, as few as storages take
WAV = {"Content_Type": "audio/wav"}


def large_song() -> bytes:
    """Return 20 seconds of noise that need three parts."""
    file, noise = io.BytesIO(), random.Random(7)
    with wave.open(file, "wb") as audio:
        audio.setnchannels(2)
        audio.setsampwidth(3)
        audio.setframerate(96_000)
        audio.writeframes(noise.randbytes(20 * 96_000 * 2 * 3))
    return file.getvalue()


LARGE = large_song()
AS_WAV: Any = {"contentType": "audio/wav", "contentLength": len(LARGE)}


@pytest.fixture
def settings(bucket: str, tmp_path: Path, databases: Databases) -> Settings:  # noqa: ARG001  # sets it up
    """Settings of a service whose files are in a bucket."""
    data = tmp_path / "data"
    return Settings(data=data, database_url=databases.url(data))


@pytest.fixture
def storage(settings: Settings, server_secrets: Secrets) -> Storage:
    """The storage of the service."""
    return configured(settings, server_secrets)


@pytest.fixture
def _worker(context: WorkerContext) -> Iterator[None]:
    """A worker that measures uploads."""
    with measuring(context):
        yield


@pytest.fixture
def web() -> Iterator[httpx2.Client]:
    """A client without a key, of the bucket."""
    with httpx2.Client(trust_env=False, timeout=60) as client:
        yield client


def uploads_of(storage: Storage) -> DirectUploads:
    """Return the direct uploads, which this storage has."""
    found = storage.direct()
    assert found is not None
    return found


def reserve(client: httpx2.Client, headers: dict[str, str] = DIRECT, **fields: Any) -> Any:
    """Reserve a direct upload of the song, and return the response's data."""
    body = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": len(BODY)}
    answer = client.post("/v1/audio/uploads", json=body | fields, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def put(web: httpx2.Client, reserved: Any, body: bytes = BODY, **changed: str | None) -> int:
    """Send bytes to the bucket, and return the status. Headers that are None are left out."""
    headers = reserved["direct"]["headers"] | {
        name.replace("_", "-"): value for name, value in changed.items()
    }
    sent = {name: value for name, value in headers.items() if value is not None}
    return web.put(reserved["direct"]["url"], content=body, headers=sent).status_code


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


@pytest.fixture
def _in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``LARGE`` be a large file of three parts, for two of which URLs are given at a time."""
    monkeypatch.setattr(direct, "LARGEST", len(LARGE) - 1)
    monkeypatch.setattr(direct, "PARTS", 2)
    monkeypatch.setattr(s3_multipart, "PART", PART)


def ask(web: httpx2.Client, reserved: Any) -> Any:
    """Return what is missing of a large file."""
    answer = web.post(reserved["partsUrl"])
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


def put_part(web: httpx2.Client, part: Any, body: bytes | None = None) -> int:
    """Send a part of the song to the bucket, and return the status."""
    right = LARGE[part["start"] : part["start"] + part["length"]]
    return web.put(part["url"], content=right if body is None else body).status_code


@pytest.mark.usefixtures("_in_parts", "_worker")
def test_a_large_file_in_parts(
    client: httpx2.Client, web: httpx2.Client, someone: Customer, storage: Storage
) -> None:
    assert reserve(client, {}, **AS_WAV)["partsUrl"] is None, "the client does not ask for it"
    reserved = reserve(client, **AS_WAV)
    missing = ask(web, reserved)
    assert (missing["uploaded"], missing["missingBytes"]) == (False, len(LARGE))
    assert [part["start"] for part in missing["parts"]] == [0, PART]
    first, second = missing["parts"]
    assert first["url"].startswith(f"{uploads_of(storage).origin()}/")
    for refused in (bytes(PART + 1), bytes(PART - 1)):
        assert put_part(web, first, refused) == 403
    swapped = {**first, "url": first["url"].replace("partNumber=1", "partNumber=2")}
    assert put_part(web, swapped) == 403
    assert [put_part(web, first) for _ in range(2)] == [200, 200]  # a response may be lost
    assert error(wanted(client, by_id(reserved["uploadId"]))) == (409, "CONFLICT")
    missing = ask(web, reserved)
    assert missing["missingBytes"] == len(LARGE) - PART
    assert [part["start"] for part in missing["parts"]] == [PART, 2 * PART]
    assert put_part(web, missing["parts"][1]) == 200  # in any order
    while not (missing := ask(web, reserved))["uploaded"]:
        for part in missing["parts"]:
            assert put_part(web, part) == 200
    assert ask(web, reserved) == {"uploaded": True, "missingBytes": 0, "parts": []}
    assert put_part(web, second, bytes(PART)) == 404, "the upload has ended"
    with storage.open(keys.upload(reserved["uploadId"])) as file:
        assert file.read() == LARGE
    assert wanted(client, by_id(reserved["uploadId"])).json()["data"]["creditsUsed"] == 20
    forged = reserved["partsUrl"].replace("signature=", "signature=0")
    assert error(web.post(forged)) == (403, "FORBIDDEN")
    with someone.database.write() as session:
        session.execute(update(Upload).values(stored_at=None))
    assert ask(web, reserved)["uploaded"], "the process died before it could note that"


@pytest.mark.usefixtures("_in_parts", "_worker")
@pytest.mark.parametrize("how", ["sync", "async", "command"])
def test_the_sdk_continues_a_large_file(
    client: httpx2.Client,
    web: httpx2.Client,
    someone: Customer,
    storage: Storage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: str,
) -> None:
    song, sent = tmp_path / "song.wav", []
    song.write_bytes(LARGE)
    monkeypatch.setattr(uploading, "LARGE", len(LARGE) - 1)
    key = uploading.key_of(song) if how == "command" else "order 7"
    key = hashlib.sha256(f"{key} {hashlib.sha256(LARGE).hexdigest()}".encode()).hexdigest()
    body = {"filename": song.name, **AS_WAV}
    headers = DIRECT | {"Idempotency-Key": f"upload-{key}"}  # that the SDK sends
    before = client.post("/v1/audio/uploads", json=body, headers=headers).json()["data"]
    for part in ask(web, before)["parts"]:
        assert put_part(web, part) == 200

    def progress(now: TransferProgress) -> None:
        sent.append(now.bytes_done)

    asked: Any = {"model": "htdemucs_tiny", "idempotency_key": "order 7", "on_progress": progress}
    service: Any = {"api_key": someone.api_key, "base_url": f"{client.base_url}/v1"}
    if how == "async":

        async def split() -> None:
            async with AsyncAiStemSplitter(**service) as sdk:
                await sdk.create_split(song, **asked)

        asyncio.run(split())
    else:
        with AiStemSplitter(**service) as sdk:
            if how == "command":
                sdk._run(uploading.upload_song(sdk, str(song), Mock(upload=progress)))
            else:
                sdk.create_split(song, **asked)
    assert sent[0] > 2 * PART, "the first parts were sent before"
    assert sent[-1] == len(LARGE)
    with someone.database.read() as session:
        upload = session.scalars(select(Upload)).one()
    with storage.open(keys.upload(upload.id)) as file:
        assert file.read() == LARGE


@pytest.mark.usefixtures("_in_parts")
def test_a_large_file_that_continues_through_the_api(
    client: httpx2.Client, web: httpx2.Client, storage: Storage
) -> None:
    """As where a firewall blocks the bucket. What is behind a gap may be sent again."""
    reserved = reserve(client, **AS_WAV)
    first, second = ask(web, reserved)["parts"]
    assert put_part(web, second) == 200
    url, end = reserved["uploadUrl"], len(LARGE)

    def arrived() -> str:
        answer = send(url, b"", "PUT", Content_Range=f"bytes */{end}", **WAV)
        assert answer.status_code == 308
        return answer.headers.get("range", "")

    assert arrived() == ""
    through_us = f"bytes 0-{PART - 1}/{end}"
    assert send(url, LARGE[:PART], "PUT", Content_Range=through_us, **WAV).status_code == 308
    assert arrived() == f"bytes=0-{2 * PART - 1}"
    through_us = f"bytes {2 * PART}-{end - 1}/{end}"
    rest = send(url, LARGE[2 * PART :], "PUT", Content_Range=through_us, **WAV)
    assert rest.status_code == 200
    assert put_part(web, first) == 404
    with storage.open(keys.upload(reserved["uploadId"])) as file:
        assert file.read() == LARGE


@pytest.mark.usefixtures("_in_parts")
def test_abandoned_parts(
    client: httpx2.Client,
    web: httpx2.Client,
    someone: Customer,
    context: WorkerContext,
    storage: Storage,
) -> None:
    with someone.database.write() as session:
        limits.set_limits(session, someone.caller.account_id, {"open_uploads": 2})
    expired, deleted = reserve(client, **AS_WAV), reserve(client, **AS_WAV)
    body = {"filename": "b", "contentType": "audio/flac", "contentLength": 1}
    third = client.post("/v1/audio/uploads", json=body, headers=DIRECT)
    assert error(third) == (409, "LIMIT_EXCEEDED")
    parts = [ask(web, each)["parts"][0] for each in (expired, deleted)]
    assert [put_part(web, part) for part in parts] == [200, 200]
    assert len([*storage.partials()]) == 2
    with someone.database.write() as session:
        query = update(Upload).where(Upload.id == expired["uploadId"])
        session.execute(query.values(expires_at=times.now()))
    assert client.delete(f"/v1/audio/uploads/{deleted['uploadId']}").status_code == 200
    sweep(context)
    assert [*storage.partials()] == []
    assert [put_part(web, part) for part in parts] == [404, 404]
    assert error(web.post(expired["partsUrl"])) == (403, "FORBIDDEN")
    assert error(web.post(deleted["partsUrl"])) == (404, "NOT_FOUND")


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
