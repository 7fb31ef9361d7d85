from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.worker import liveness
from aistemsplitter_server.workers.tables import Worker
from beating import beat
from customers import Customer, customer
from databases import only_sqlite


def test_credits(client: httpx2.Client, database: Database, server_secrets: Secrets) -> None:
    mine = customer(database, server_secrets, allowed=(Scope.CREDITS_READ,))
    answer = client.get("/v1/credits", headers=mine.headers)
    assert answer.status_code == 200
    assert answer.text == '{"success":true,"data":{"balance":600,"unit":"seconds"}}'
    assert answer.headers["request-id"].startswith("req_")
    with database.write() as session:
        accounts.revoke_key(session, None, mine.caller.key_id)
    assert client.get("/v1/credits", headers=mine.headers).status_code == 401


def test_all_invalid_keys_give_the_same_message(client: httpx2.Client) -> None:
    attempts: list[dict[str, str] | httpx2.Headers] = [
        {},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer"},
        {"Authorization": "Bearer ast_live_nonsense"},
        httpx2.Headers([(b"Authorization", b"Bearer \xff")]),
    ]
    answers = [client.get("/v1/credits", headers=headers) for headers in attempts]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].text.startswith('{"success":false,"error":{"code":"UNAUTHORIZED","message":')


def test_scope(client: httpx2.Client, database: Database, server_secrets: Secrets) -> None:
    other = customer(database, server_secrets, allowed=(Scope.SPLITS_READ,))
    answer = client.get("/v1/credits", headers=other.headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "FORBIDDEN"


def test_health(client: httpx2.Client, database: Database) -> None:
    beat(database)
    for path in ("/healthz", "/readyz"):
        assert client.get(path).text == '{"success":true,"data":{"status":"ok"}}'


def _reason(answer: httpx2.Response) -> str:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["error"]["code"] == "UNAVAILABLE"
    return str(answer.json()["error"]["message"])


def _in_transaction(database: Database, work: Callable[[Session], object]) -> object:
    with database.write() as session:
        return work(session)


def test_not_ready(client: httpx2.Client, database: Database, settings: Settings) -> None:
    assert _reason(client.get("/readyz")) == "No worker is running."
    beat(database)
    assert client.get("/readyz").status_code == 200
    with database.write() as session:
        session.get_one(Worker, "worker").seen_at -= timedelta(seconds=31)
    assert _reason(client.get("/readyz")) == "No worker is running."

    worker: Any = SimpleNamespace(
        database=database, write=lambda work: _in_transaction(database, work)
    )
    with pytest.raises(RuntimeError), liveness.reporting_faults(worker):
        raise RuntimeError("no engine\nhere")
    said = "No worker is running. The last one could not start: no enginehere"
    assert _reason(client.get("/readyz")) == said
    with liveness.reporting_faults(worker):
        pass  # the worker has started
    assert _reason(client.get("/readyz")) == "No worker is running."

    shutil.rmtree(settings.data / "storage")
    (settings.data / "storage").touch()
    assert _reason(client.get("/readyz")) == "The storage cannot be written."

    with database.connection() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    assert _reason(client.get("/readyz")) == "The database is not up to date."


@only_sqlite  # for an unavailable Postgres see test_database_away.py
def test_a_failing_database(
    client: httpx2.Client,
    database: Database,
    server_secrets: Secrets,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mine = customer(database, server_secrets, allowed=(Scope.CREDITS_READ,))
    with database.connection() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO elsewhere")
    answer = client.get("/v1/credits", headers=mine.headers)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["error"]["code"] == "UNAVAILABLE"
    assert "the database cannot be used: no such table" in caplog.text
    assert mine.api_key not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),
        ("GET", "/v1", 404, "NOT_FOUND"),
        ("GET", "/v1/credits/", 404, "NOT_FOUND"),
        ("GET", "/v1//credits", 404, "NOT_FOUND"),
        ("GET", "/v1/credits%00", 404, "NOT_FOUND"),
        ("GET", "/v1/credits%FF", 404, "NOT_FOUND"),
        ("GET", "/v1/credits?a=%00", 422, "VALIDATION_ERROR"),
        ("OPTIONS", "/v1/credits", 405, "METHOD_NOT_ALLOWED"),
        ("TRACE", "/v1/credits", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/v1/credits", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/v1/test/fault", 500, "INTERNAL"),
    ],
)
def test_errors(client: httpx2.Client, method: str, path: str, status: int, code: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == status
    assert list(answer.json()) == ["success", "error"]
    assert list(answer.json()["error"])[:2] == ["code", "message"]
    assert answer.json()["error"]["code"] == code
    assert "secret detail" not in answer.text
    assert answer.headers["request-id"].startswith("req_")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(
    client: httpx2.Client, settings: Settings, someone: Customer, chunked: bool
) -> None:
    piece = b" " * (settings.json_body_limit // 4)
    content = iter([piece] * 5) if chunked else piece * 5
    answer = client.post("/v1/test/songs", content=content, headers=someone.headers)
    assert answer.status_code == 413
    assert answer.json()["error"]["code"] == "PAYLOAD_TOO_LARGE"
    assert "request-id" in answer.headers


def test_the_api_imports_no_model_code(tmp_path: Path) -> None:
    script = (
        "import sys, aistemsplitter_server.api\n"
        "print([m for m in ('aistemsplitter_engine', 'torch', 'openvino') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"
