from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer, customer
from sweeps import sweep
from uploads.sending import TYPE, error, reserve, send


def test_the_reservation(client: httpx2.Client) -> None:
    reserved = reserve(client, filename="../../etc/My\u202e Song.flac")
    assert list(reserved) == [
        *("uploadId", "uploadUrl", "uploadHeaders", "expiresAt", "direct", "audioUrl", "uploaded"),
        *("resumable", "partsUrl"),
    ]
    assert reserved["direct"] == {"method": "PUT", "url": reserved["uploadUrl"], "headers": TYPE}
    assert reserved["uploadUrl"].startswith(reserved["audioUrl"] + "?")


def test_a_repeated_reservation(
    client: httpx2.Client, someone: Customer, context: WorkerContext, server_secrets: Secrets
) -> None:
    client.headers["Idempotency-Key"] = "order 7"
    first = reserve(client)
    assert first["uploaded"] is False
    assert reserve(client)["uploadId"] == first["uploadId"]
    assert send(reserve(client)["uploadUrl"]).status_code == 200
    again = reserve(client)
    assert (again["uploadId"], again["uploaded"]) == (first["uploadId"], True)
    body = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": 7}
    assert error(client.post("/v1/audio/uploads", json=body)) == (422, "IDEMPOTENCY_MISMATCH")

    stranger = customer(someone.database, server_secrets)
    own = {**stranger.headers, "Idempotency-Key": "order 7"}
    answer = client.post("/v1/audio/uploads", json=body, headers=own)
    assert answer.json()["data"]["uploadId"] != first["uploadId"]

    with someone.database.write() as session:
        session.execute(update(Upload).values(expires_at=times.now()))
    sweep(context, "expired_uploads")
    assert reserve(client)["uploadId"] != first["uploadId"]
    client.headers["Idempotency-Key"] = "x" * 256
    assert error(client.post("/v1/audio/uploads", json=body)) == (422, "VALIDATION_ERROR")


def test_simultaneous_reservations_are_one(client: httpx2.Client) -> None:
    body = {"filename": "song.flac", "contentType": "audio/flac", "contentLength": 7}

    def ask(_: int) -> str:
        answer = client.post("/v1/audio/uploads", json=body, headers={"Idempotency-Key": "k"})
        if answer.status_code == 409:
            return error(answer)[1]
        return str(answer.json()["data"]["uploadId"])

    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(ask, range(16)))
    assert len(ids - {"IDEMPOTENCY_IN_PROGRESS"}) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"contentLength": 0}, 422),
        ({"contentLength": -1}, 422),
        ({"contentLength": "5"}, 422),
        ({"contentLength": 1 << 40}, 413),
        ({"contentType": "audio"}, 422),
        ({"contentType": "audio/x\r\nX: y"}, 422),
        ({"filename": ""}, 422),
        ({"more": 1}, 422),
    ],
)
def test_invalid_reservations(client: httpx2.Client, fields: dict[str, Any], status: int) -> None:
    body = {"filename": "a", "contentType": "audio/wav", "contentLength": 5}
    assert client.post("/v1/audio/uploads", json=body | fields).status_code == status
