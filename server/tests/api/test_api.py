from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from databases import only_sqlite


def key(database: Database, secrets: Secrets, *allowed: Scope) -> accounts.NewKey:
    with database.write() as session:
        account = accounts.create_account(session, "someone", free_seconds=600)
        return accounts.create_key(session, secrets, account.id, allowed=allowed)


def bearer(api_key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {api_key}"}


def test_credits(client: httpx2.Client, database: Database, server_secrets: Secrets) -> None:
    mine = key(database, server_secrets, Scope.CREDITS_READ)
    answer = client.get("/v1/credits", headers=bearer(mine.api_key))
    assert answer.status_code == 200
    assert answer.text == '{"success":true,"data":{"balance":600,"unit":"seconds"}}'
    assert answer.headers["request-id"].startswith("req_")
    with database.write() as session:
        accounts.revoke_key(session, mine.id)
    assert client.get("/v1/credits", headers=bearer(mine.api_key)).status_code == 401


def test_one_message_for_every_bad_key(client: httpx2.Client) -> None:
    attempts: list[dict[str, str] | httpx2.Headers] = [
        {},
        {"Authorization": "Basic abc"},
        {"Authorization": "Bearer"},
        bearer("ast_live_nonsense"),
        httpx2.Headers([(b"Authorization", b"Bearer \xff")]),
    ]
    answers = [client.get("/v1/credits", headers=headers) for headers in attempts]
    assert {answer.status_code for answer in answers} == {401}
    assert len({answer.text for answer in answers}) == 1
    assert answers[0].text.startswith('{"success":false,"error":{"code":"UNAUTHORIZED","message":')


def test_scope(client: httpx2.Client, database: Database, server_secrets: Secrets) -> None:
    other = key(database, server_secrets, Scope.SPLITS_READ)
    answer = client.get("/v1/credits", headers=bearer(other.api_key))
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "FORBIDDEN"


def test_health(client: httpx2.Client) -> None:
    for path in ("/healthz", "/readyz"):
        assert client.get(path).text == '{"success":true,"data":{"status":"ok"}}'


def test_not_ready(client: httpx2.Client, database: Database) -> None:
    with database.connection() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    answer = client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "UNAVAILABLE"
    assert answer.headers["retry-after"] == "5"


@only_sqlite  # a Postgres that is away: test_database_away.py
def test_a_database_that_fails(
    client: httpx2.Client,
    database: Database,
    server_secrets: Secrets,
    caplog: pytest.LogCaptureFixture,
) -> None:
    mine = key(database, server_secrets, Scope.CREDITS_READ)
    with database.connection() as connection:
        connection.exec_driver_sql("ALTER TABLE api_keys RENAME TO elsewhere")
    answer = client.get("/v1/credits", headers=bearer(mine.api_key))
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert answer.json()["error"]["code"] == "UNAVAILABLE"
    assert f"{answer.headers['request-id']}: the database cannot be used: no such" in caplog.text
    assert mine.api_key not in caplog.text


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "NOT_FOUND"),
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


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        (b'{"fileName": "a.wav", "seconds": 1, "colour": 1}', ["colour"]),
        (b'{"fileName": 1, "seconds": "1"}', ["fileName", "seconds"]),
        (b'{"file_name": "a.wav", "seconds": 1}', ["fileName", "file_name"]),
        (b"{", ["body"]),
        (b"", ["body"]),
        (b'"\xff"', ["body"]),
    ],
)
def test_every_wrong_field_is_named(client: httpx2.Client, body: bytes, fields: list[str]) -> None:
    answer = client.post(
        "/v1/test/songs", content=body, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code == 422
    error = answer.json()["error"]
    assert error["code"] == "VALIDATION_ERROR"
    assert [fault["field"] for fault in error["details"]] == fields
    assert all(field in error["message"] for field in fields)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit(client: httpx2.Client, settings: Settings, chunked: bool) -> None:
    piece = b" " * (settings.json_body_limit // 4)
    content = iter([piece] * 5) if chunked else piece * 5
    answer = client.post("/v1/test/songs", content=content)
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
