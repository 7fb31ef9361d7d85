"""A full or unreachable storage gives the same error wherever it is noticed."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine

from aistemsplitter_server.http import faults
from aistemsplitter_server.storage.interface import StorageFailed


def _fill_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/secret/place")


def _fill_database() -> None:
    with create_engine("sqlite://").begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 2")
        connection.exec_driver_sql("CREATE TABLE one (x)")
        connection.exec_driver_sql("INSERT INTO one VALUES (zeroblob(10000))")


def _break() -> None:
    raise OSError(errno.EIO, "Input/output error", "/var/lib/secret/place")


def _fill_bucket() -> None:
    raise StorageFailed(errno.ENOSPC, "bucket secret is full", "raise its quota")


def _lose_bucket() -> None:
    raise StorageFailed(errno.EHOSTUNREACH, "http://secret cannot be reached", "check it")


@pytest.mark.parametrize(
    ("what", "status", "message", "retry_after"),
    [
        (_fill_disk, 503, "The storage is full.", "60"),
        (_fill_database, 503, "The storage is full.", "60"),
        (_fill_bucket, 503, "The storage is full.", "60"),
        (_lose_bucket, 503, "The storage cannot be reached.", "5"),
        (_break, 500, "Something went wrong on our side.", None),
    ],
)
def test_a_full_disk(
    what: Callable[[], None], status: int, message: str, retry_after: str | None
) -> None:
    app = FastAPI()
    app.add_middleware(faults.Faults)
    faults.install(app)
    app.get("/")(what)
    answer = TestClient(app).get("/")
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == message
    assert answer.headers.get("Retry-After") == retry_after
