"""An upload in progress may continue after its URL expired, but not for ever."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from sqlalchemy import update

from aistemsplitter_server.kit import times
from aistemsplitter_server.uploads import service
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.worker.context import WorkerContext
from customers import Customer
from processes import until
from sweeps import sweep
from uploads.sending import BODY, error, reserve, row, send

HALF = len(BODY) // 2


class Slow:
    """An upload whose second half waits for a signal."""

    def __init__(self, context: WorkerContext, reserved: dict[str, Any]) -> None:
        self._go_on = threading.Event()
        self._answers: list[httpx2.Response] = []
        self._url = reserved["uploadUrl"]
        self._thread = threading.Thread(target=self._send)
        self._thread.start()
        partial = context.settings.data / "partial" / reserved["uploadId"]
        until(lambda: partial.exists() and partial.stat().st_size)

    def _send(self) -> None:
        self._answers.append(send(self._url, self._halves(), Content_Length=str(len(BODY))))

    def _halves(self) -> Iterator[bytes]:
        yield BODY[:HALF]
        self._go_on.wait(60)
        yield BODY[HALF:]

    def finish(self) -> httpx2.Response:
        """Send the rest and return the response."""
        self._go_on.set()
        self._thread.join()
        return self._answers[0]


@pytest.fixture(autouse=True)
def _small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aistemsplitter_server.uploads.receiving.PIECE", 1 << 12)


def expire(someone: Customer, ago: timedelta = timedelta(0), **values: Any) -> None:
    with someone.database.write() as session:
        session.execute(update(Upload).values(expires_at=times.now() - ago, **values))


def test_an_expired_url_only_prevents_starting(
    client: httpx2.Client, someone: Customer, context: WorkerContext
) -> None:
    reserved = reserve(client)
    expire(someone, -timedelta(seconds=30))
    slow = Slow(context, reserved)
    extended = row(someone, reserved["uploadId"]).expires_at
    assert extended > times.now() + timedelta(minutes=10)
    sweep(context)
    assert slow.finish().status_code == 200
    assert row(someone, reserved["uploadId"]).duration_seconds == 20.0


def test_an_upload_is_resumed_after_its_url_expired(
    client: httpx2.Client, someone: Customer, context: WorkerContext
) -> None:
    reserved = reserve(client)
    expire(someone, -timedelta(seconds=30))
    first = f"bytes 0-{HALF - 1}/{len(BODY)}"
    assert send(reserved["uploadUrl"], BODY[:HALF], Content_Range=first).status_code == 308
    sweep(context)
    rest = f"bytes {HALF}-{len(BODY) - 1}/{len(BODY)}"
    assert send(reserved["uploadUrl"], BODY[HALF:], Content_Range=rest).status_code == 200


def test_a_too_slow_upload_ends(
    client: httpx2.Client, someone: Customer, context: WorkerContext
) -> None:
    reserved = reserve(client)
    slow = Slow(context, reserved)
    longest = timedelta(seconds=3600) + service.EXTENSION + timedelta(minutes=1)
    expire(someone, created_at=times.now() - longest)
    part = f"bytes 0-{HALF - 1}/{len(BODY)}"
    assert error(send(reserved["uploadUrl"], BODY[:HALF], Content_Range=part)) == (403, "FORBIDDEN")
    sweep(context)
    assert error(slow.finish()) == (404, "NOT_FOUND")
    sweep(context)
    assert not [*context.storage.names("uploads")]
    assert not [*(context.settings.data / "partial").iterdir()]


def test_an_upload_that_a_split_uses_meanwhile_is_kept(
    someone: Customer, context: WorkerContext
) -> None:
    upload = someone.upload(expires_at=times.now() - timedelta(seconds=1))
    someone.split_of(upload)
    sweep(context)
    kept = row(someone, upload.id)
    assert kept.deleted_at is None
    assert kept.expires_at > times.now()
