"""A full disk gives the same error wherever it is noticed."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import create_engine

from aistemsplitter_server.http import faults


def _fill_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "/var/lib/secret/place")


def _fill_database() -> None:
    with create_engine("sqlite://").begin() as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 2")
        connection.exec_driver_sql("CREATE TABLE one (x)")
        connection.exec_driver_sql("INSERT INTO one VALUES (zeroblob(10000))")


def _break() -> None:
    raise OSError(errno.EIO, "Input/output error", "/var/lib/secret/place")


@pytest.mark.parametrize(
    ("what", "status", "message"),
    [
        (_fill_disk, 503, "The storage is full."),
        (_fill_database, 503, "The storage is full."),
        (_break, 500, "Something went wrong on our side."),
    ],
)
def test_a_full_disk(what: Callable[[], None], status: int, message: str) -> None:
    app = FastAPI()
    app.add_middleware(faults.Faults)
    faults.install(app)
    app.get("/")(what)
    answer = TestClient(app).get("/")
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == message
    assert answer.headers.get("Retry-After") == ("60" if status == 503 else None)
