"""Large files that clients send to the bucket in parts."""

from __future__ import annotations

import asyncio
import hashlib
import io
import random
import wave
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
from aistemsplitter_server.storage import keys, s3_multipart
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads import direct
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer
from databases import only_sqlite
from sweeps import sweep
from uploads.direct.reserving import DIRECT, reserve, uploads_of
from uploads.sending import by_id, error, send, wanted

pytestmark = [
    only_sqlite,
    pytest.mark.skipif(find_spec("boto3") is None, reason="needs boto3"),
]

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
    key = uploading._key_of(song) if how == "command" else "order 7"
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
