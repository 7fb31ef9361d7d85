from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import queries as splits
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.uploads import addresses, receiving
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer, customer
from processes import until
from scraping import scraped
from sweeps import sweep
from uploads.sending import BODY, by_id, error, reserve, row, send, wanted


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_an_upload(client: httpx2.Client, someone: Customer, method: str) -> None:
    reserved = reserve(client, filename="../../etc/My\u202e Song.flac")
    answer = send(reserved["uploadUrl"], method=method)
    assert answer.json() == {
        "success": True,
        "data": {"url": reserved["audioUrl"], "key": f"uploads/{reserved['uploadId']}"},
    }
    found = row(someone, reserved["uploadId"])
    assert (found.duration_seconds, found.sample_rate) == (20.0, 44100)
    assert found.filename == "My Song.flac"
    made = wanted(client, by_id(reserved["uploadId"])).json()["data"]
    assert made["creditsUsed"] == 20
    same = wanted(client, {"type": "direct_url", "url": reserved["audioUrl"]}).json()["data"]
    assert same["creditsUsed"] == 20
    shown = client.get(f"/v1/audio/splits/{same['id']}").json()["data"]
    assert shown["filename"] == "My Song.flac"


def test_a_form(client: httpx2.Client) -> None:
    reserved = reserve(client)
    files = {"note": ("n.txt", b"hello"), "file": ("x.flac", BODY, "audio/flac")}
    answer = httpx2.post(reserved["uploadUrl"], files=files, trust_env=False, timeout=60)
    assert answer.json()["data"]["url"] == reserved["audioUrl"]
    for parts in ({"other": ("x", b"y")}, {"file": ("x", BODY[:-1])}):
        again = httpx2.post(reserve(client)["uploadUrl"], files=parts, trust_env=False, timeout=60)
        assert error(again) == (422, "VALIDATION_ERROR")
    long = {"file": ("x", BODY + b"!")}
    assert error(
        httpx2.post(reserve(client)["uploadUrl"], files=long, trust_env=False, timeout=60)
    ) == (
        413,
        "PAYLOAD_TOO_LARGE",
    )


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_form_with_the_headers_of_the_reservation(client: httpx2.Client, method: str) -> None:
    """As ``requests`` and ``httpx`` send it when given files and our headers."""
    reserved = reserve(client)
    files = {"file": ("x.flac", BODY, "audio/flac")}
    answer = httpx2.request(
        method,
        reserved["uploadUrl"],
        files=files,
        headers=reserved["uploadHeaders"],
        trust_env=False,
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["url"] == reserved["audioUrl"]
    assert wanted(client, by_id(reserved["uploadId"])).status_code == 200


def test_invalid_forms_with_the_headers_of_the_reservation(client: httpx2.Client) -> None:
    def sent(parts: dict[str, Any]) -> tuple[int, str]:
        reserved = reserve(client)
        return error(
            httpx2.put(
                reserved["uploadUrl"],
                files=parts,
                headers=reserved["uploadHeaders"],
                trust_env=False,
                timeout=60,
            )
        )

    assert sent({"file": ("x", BODY + b"!")}) == (413, "PAYLOAD_TOO_LARGE")
    assert sent({"file": ("x", BODY[:-1])}) == (422, "VALIDATION_ERROR")
    assert sent({"other": ("x", BODY)}) == (422, "VALIDATION_ERROR")


def test_a_chunked_form_with_the_headers_of_the_reservation(client: httpx2.Client) -> None:
    start = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
    pieces = [start[:40], start[40:], BODY, b"\r\n--b--\r\n"]
    assert send(reserve(client)["uploadUrl"], iter(pieces)).status_code == 200


def test_a_file_that_begins_like_a_form(client: httpx2.Client) -> None:
    """With the reserved length it is the file itself."""
    body = b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--b--\r\n'
    reserved = reserve(client, contentLength=len(body))
    assert send(reserved["uploadUrl"], body).status_code == 200


def test_an_upload_must_match_its_reservation(client: httpx2.Client, someone: Customer) -> None:
    reserved = reserve(client)
    url = reserved["uploadUrl"]
    assert error(send(url, BODY + b"!")) == (413, "PAYLOAD_TOO_LARGE")
    assert error(send(url, iter([BODY, b"!"]))) == (413, "PAYLOAD_TOO_LARGE")
    assert error(send(url, BODY[:-1])) == (422, "VALIDATION_ERROR")
    assert error(send(url, Content_Type="text/html")) == (422, "VALIDATION_ERROR")
    assert error(wanted(client, by_id(reserved["uploadId"]))) == (409, "CONFLICT")
    assert send(url).status_code == 200
    assert error(send(url)) == (409, "CONFLICT")
    assert row(someone, reserved["uploadId"]).stored_at is not None


def test_tampered_urls(client: httpx2.Client, someone: Customer) -> None:
    one, other = reserve(client), reserve(client)
    url = one["uploadUrl"]
    query = url.partition("?")[2]
    for tampered in (
        one["audioUrl"],
        url[:-1] + ("A" if url[-1] != "A" else "B"),
        url.replace("expires=", "expires=9"),
        url + "&more=1",
        f"{other['audioUrl']}?{query}",
        url.replace(one["uploadId"], "upl_01JTB3Y6M8Q4W2N7C5D9E0F1GH"),
    ):
        assert error(send(tampered)) == (403, "FORBIDDEN"), tampered
    with someone.database.write() as session:
        session.execute(update(Upload).values(content_length=5))
    assert error(send(url, b"12345")) == (403, "FORBIDDEN")


def test_an_expired_reservation(
    client: httpx2.Client, someone: Customer, server_secrets: Secrets
) -> None:
    upload = row(someone, reserve(client)["uploadId"])
    upload.expires_at = times.now()
    with someone.database.write() as session:
        session.execute(update(Upload).values(expires_at=upload.expires_at))
    base = str(client.base_url).rstrip("/")
    assert error(send(addresses.to_write(server_secrets, base, upload))) == (403, "FORBIDDEN")


def test_an_upload_in_parts(client: httpx2.Client, someone: Customer) -> None:
    reserved = reserve(client)
    url, size = reserved["uploadUrl"], len(BODY)
    question = send(url, b"", Content_Range=f"bytes */{size}")
    assert (question.status_code, question.headers.get("range")) == (308, None)
    first = send(url, BODY[:100_000], "PUT", Content_Range=f"bytes 0-99999/{size}")
    assert (first.status_code, first.headers["range"]) == (308, "bytes=0-99999")
    gap = send(url, BODY[200_000:], "PUT", Content_Range=f"bytes 200000-{size - 1}/{size}")
    assert error(gap) == (409, "CONFLICT")
    for wrong in ("bytes 0-9/10", "bytes 9-0/99", "items 0-1/2", f"bytes 0-{size}/{size}"):
        assert error(send(url, b"", Content_Range=wrong)) == (422, "VALIDATION_ERROR")
    question = send(url, b"", Content_Range=f"bytes */{size}")
    assert question.headers["range"] == "bytes=0-99999"
    last = send(url, BODY[100_000:], "PUT", Content_Range=f"bytes 100000-{size - 1}/{size}")
    assert last.status_code == 200
    assert row(someone, reserved["uploadId"]).duration_seconds == 20.0


def test_a_dropped_connection_is_resumed(
    client: httpx2.Client, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    reserved = reserve(client)
    path = reserved["uploadUrl"].partition(str(client.base_url.port))[2]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: audio/flac\r\n"
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0)) as line:
        line.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\n".encode() + BODY[:50_000])
        partial = settings.data / "partial" / reserved["uploadId"]
        until(partial.exists)
        time.sleep(0.3)  # let the server receive the bytes, which it buffers before writing
    until(lambda: partial.stat().st_size == 50_000)
    until(lambda: 'status="gone"' in scraped(client))
    assert {record.levelname for record in caplog.records} == {"INFO"}  # not logged as an error
    assert 'status="500"' not in scraped(client)
    part = {"Content_Range": f"bytes 50000-{len(BODY) - 1}/{len(BODY)}"}

    def rest() -> int:  # the upload's lock is released shortly after its last byte
        status = send(reserved["uploadUrl"], BODY[50_000:], "PUT", **part).status_code
        return 0 if status == 409 else status

    assert until(rest) == 200


@pytest.mark.parametrize("pause", [0.05, 60.0])
def test_an_upload_below_the_minimum_rate(
    client: httpx2.Client, settings: Settings, monkeypatch: pytest.MonkeyPatch, pause: float
) -> None:
    """No bytes, or a byte now and then; the received bytes can be resumed."""
    monkeypatch.setattr(receiving, "PACE_WINDOW", 0.5)
    reserved = reserve(client)
    path = reserved["uploadUrl"].partition(str(client.base_url.port))[2]
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: audio/flac\r\n"
    done = threading.Event()
    with socket.create_connection(("127.0.0.1", client.base_url.port or 0), 60) as line:

        def drip() -> None:
            while not done.wait(pause):
                with suppress(OSError):
                    line.sendall(b"a")

        line.sendall(f"{head}Content-Length: {len(BODY)}\r\n\r\na".encode())
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            assert b" 408 " in line.recv(1000)
        finally:
            done.set()
            dripping.join()
    assert (settings.data / "partial" / reserved["uploadId"]).stat().st_size > 0


def test_an_upload_above_the_minimum_rate(
    client: httpx2.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiving, "PACE_WINDOW", 0.5)
    monkeypatch.setattr(receiving, "PACE", len(BODY) // 20)

    def slowly() -> Iterator[bytes]:
        for start in range(0, len(BODY), len(BODY) // 10 + 1):
            time.sleep(0.15)  # 1.5 s in all: longer than the window, faster than PACE
            yield BODY[start : start + len(BODY) // 10 + 1]

    url = reserve(client)["uploadUrl"]
    assert send(url, slowly(), Content_Length=str(len(BODY))).status_code == 200


def test_one_writer_at_a_time(client: httpx2.Client, settings: Settings) -> None:
    reserved = reserve(client)
    go_on = threading.Event()

    def slowly() -> Iterator[bytes]:
        yield BODY[:100_000]
        go_on.wait(60)
        yield BODY[100_000:]

    answers: list[httpx2.Response] = []
    slow = threading.Thread(
        target=lambda: answers.append(
            send(reserved["uploadUrl"], slowly(), Content_Length=str(len(BODY)))
        )
    )
    slow.start()
    until((settings.data / "partial" / reserved["uploadId"]).exists)
    time.sleep(0.5)  # it is locked shortly after its creation, which cannot be observed
    assert error(send(reserved["uploadUrl"])) == (409, "CONFLICT")
    go_on.set()
    slow.join()
    assert answers[0].status_code == 200


def test_another_accounts_upload(
    client: httpx2.Client, database: Database, server_secrets: Secrets
) -> None:
    stranger = customer(database, server_secrets)
    theirs = stranger.upload()
    assert error(wanted(client, by_id(theirs.id))) == (404, "NOT_FOUND")
    assert error(wanted(client, by_id("upl_unknown"))) == (404, "NOT_FOUND")


def test_no_audio(
    client: httpx2.Client, settings: Settings, server_secrets: Secrets, someone: Customer
) -> None:
    text = b"#!/bin/sh\n"
    reserved = reserve(client, filename="song.wav", contentLength=len(text))
    assert send(reserved["uploadUrl"], text).status_code == 200
    answer = wanted(client, by_id(reserved["uploadId"]))
    assert error(answer) == (422, "VALIDATION_ERROR")
    assert answer.json()["error"]["details"][0]["field"] == "input.uploadId"
    assert "song.wav" in answer.json()["error"]["message"]
    # Its bytes are deleted at once, and no longer count against the account's limit.
    with pytest.raises(Missing):
        configured(settings, server_secrets).info(keys.upload(reserved["uploadId"]))
    with someone.database.read() as session:
        assert splits.stored_bytes(session, someone.caller.account_id) == 0


def test_an_unmeasured_upload_is_measured_when_needed(
    client: httpx2.Client, someone: Customer
) -> None:
    reserved = reserve(client)
    send(reserved["uploadUrl"])
    with someone.database.write() as session:  # as if the process had died before measuring
        session.execute(update(Upload).values(measured_at=None, duration_seconds=None))
    assert wanted(client, by_id(reserved["uploadId"])).json()["data"]["creditsUsed"] == 20


def test_expired_uploads_are_deleted(
    client: httpx2.Client, settings: Settings, someone: Customer, context: WorkerContext
) -> None:
    whole, begun, needed = reserve(client), reserve(client), reserve(client)
    for reserved in (whole, needed):
        send(reserved["uploadUrl"])
    send(begun["uploadUrl"], BODY[:-1])
    wanted(client, by_id(needed["uploadId"]))
    with someone.database.write() as session:
        session.execute(update(Upload).values(expires_at=times.now()))
    sweep(context, "expired_uploads", "uploads")
    assert sorted(_files(settings.data / "storage")) == [needed["uploadId"]]
    assert _files(settings.data / "partial") == []
    assert error(wanted(client, by_id(whole["uploadId"]))) == (404, "NOT_FOUND")


def _files(folder: Path) -> list[str]:
    return [
        path.name for path in folder.rglob("*") if path.is_file() and not path.name.startswith(".")
    ]
