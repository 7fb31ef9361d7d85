from __future__ import annotations

import json
import subprocess
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from zipfile import ZipFile

import pytest
from sqlalchemy import text

from aistemsplitter_server.accounts import sign_ins
from aistemsplitter_server.cli import hoisted
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from command_line import COMMAND, ok, run, run_process
from databases import Databases
from processes import until
from visitors import person


def test_a_key_is_created_listed_and_revoked(tmp_path: Path) -> None:
    ok(tmp_path, "db", "upgrade")
    account = ok(tmp_path, "accounts", "create", "someone").strip()
    assert account in ok(tmp_path, "accounts", "list")
    assert ok(tmp_path, "credits", "grant", account, "--pack", "50") == "3600 seconds\n"
    assert ok(tmp_path, "credits", "show", account).startswith("3600 seconds\n")

    key = json.loads(ok(tmp_path, "keys", "create", "--json"))
    assert list(key) == ["apiKey", "webhookSecret", "id"]
    ok(tmp_path, "keys", "revoke", key["id"])
    listed = ok(tmp_path, "keys", "list", "--json")
    assert json.loads(listed)[0]["revokedAt"]
    assert key["apiKey"] not in listed
    assert key["webhookSecret"] not in listed

    log = ok(tmp_path, "audit", "export", "--action", "account.created").splitlines()
    assert [json.loads(line)["details"]["name"] for line in log] == ["someone", "owner"]


def test_a_key_is_replaced(folder: Path) -> None:
    made = json.loads(ok(folder, "keys", "create", "--json"))
    replaced = json.loads(ok(folder, "keys", "rotate", made["id"], "--keep", "7d", "--json"))
    assert replaced["id"] == made["id"]
    assert replaced["apiKey"] != made["apiKey"]
    said = ok(folder, "keys", "rotate", made["id"])
    assert said.startswith("ast_live_")
    refused = run(folder, "keys", "rotate", made["id"], "--keep", "soon")
    assert "--keep soon: write days or hours" in refused.stderr


def test_sessions_are_ended(folder: Path) -> None:
    settings = Settings(data=folder / "data")
    database, keys = Database(settings.database), secrets.load(settings.data)
    for email in ("one@example.com", "two@example.com"):
        someone = person(database, keys, email, owner=True)
        with database.write() as session:
            for _ in range(2):
                sign_ins.begin(session, keys, someone, user_agent="", address="")
    database.close()
    out = ["accounts", "sign-out", "--email"]
    assert ok(folder, *out, "One@example.com") == "2 sessions ended.\n"
    assert ok(folder, *out, "one@example.com") == "0 sessions ended.\n"
    account = someone.account_id
    ended = json.loads(ok(folder, "accounts", "sign-out", "--account", account, "--json"))
    assert (len(ended["people"]), ended["ended"]) == (2, 2)
    for wrong in (["sign-out"], ["sign-out", "--email", "three@example.com"]):
        assert run(folder, "accounts", *wrong).returncode == 2
    assert run(folder, "accounts", "sign-out", "--account", "acc_none").returncode == 1
    out = ["accounts", "remove-person", "--email"]
    assert json.loads(ok(folder, *out, "one@example.com", "--json"))["peopleLeft"] == 1
    refused = run(folder, *out, "two@example.com")
    assert "last person" in refused.stderr
    assert f"accounts link --account {account}" in ok(folder, *out, "two@example.com", "--last")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["accounts", "list"], "db upgrade"),
        (["api", "--port", "70000"], "AISTEMSPLITTER_SERVER_PORT: "),
    ],
)
def test_errors_are_one_line(tmp_path: Path, arguments: list[str], reason: str) -> None:
    done = run_process(tmp_path, *arguments)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_the_version(tmp_path: Path) -> None:
    done = run_process(tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"aistemsplitter-server {version('aistemsplitter-server')}\n"


def test_a_database_of_a_newer_version_is_one_line(folder: Path) -> None:
    """As after going back to an earlier version."""
    database = Database(Settings(data=folder / "data").database)
    with database.write() as session:
        session.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        session.execute(text("UPDATE schema_compatibility SET works_from = '9999'"))
    database.close()
    for arguments in (["up", "--port", "0"], ["db", "upgrade"], ["keys", "list"]):
        done = run(folder, *arguments)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert "upgraded by a newer version" in done.stderr


def test_config_hides_secrets(tmp_path: Path) -> None:
    secret = b64encode(b"0123456789abcdef" * 2).decode()
    (tmp_path / "server.env").write_text(
        "AISTEMSPLITTER_SERVER_DATABASE_URL=postgresql://user:hunter2@db/service\n"
        f"AISTEMSPLITTER_SERVER_SECRET={secret}\n"
        "AISTEMSPLITTER_SERVER_STRIPE_SECRET_KEY=sk_test_hunter2\n"
        "AISTEMSPLITTER_SERVER_STRIPE_WEBHOOK_SECRET=whsec_hunter2\n"
    )
    shown = ok(tmp_path, "--env-file", "server.env", "config", "show")
    assert "AISTEMSPLITTER_SERVER_PORT=8000" in shown
    as_json = ok(tmp_path, "config", "show", "--json", "--env-file=server.env")
    assert json.loads(as_json)["AISTEMSPLITTER_SERVER_PORT"] == "8000"
    for printed in (shown, as_json):
        assert "hunter2" not in printed
        assert secret not in printed


def test_a_stray_env_file_is_not_obeyed_silently(tmp_path: Path) -> None:
    stray = tmp_path / ".env"
    stray.write_text("AISTEMSPLITTER_SERVER_PORT=9000\n")
    done = run(tmp_path, "config", "show")
    assert "AISTEMSPLITTER_SERVER_PORT=9000" in done.stdout
    assert done.stderr == f"aistemsplitter-server: using the settings in {stray}\n"


def test_commands_use_the_settings_of_the_service(tmp_path: Path) -> None:
    """Although they get only its data folder, and another .env is in the working folder."""
    (tmp_path / ".env").write_text("AISTEMSPLITTER_SERVER_PUBLIC_URL=https://stray.example\n")
    url = f"sqlite:///{tmp_path / 'elsewhere.db'}"
    file = tmp_path / "server.env"
    file.write_text(
        "AISTEMSPLITTER_SERVER_PUBLIC_URL=https://splitter.example\n"
        f"AISTEMSPLITTER_SERVER_DATABASE_URL={url}\n"
        "AISTEMSPLITTER_SERVER_OFFLINE=true\n"
    )
    command = [*COMMAND, "--env-file", str(file), "up", "--port", "0", "--data", "data"]
    with (tmp_path / "log.txt").open("w") as log:
        service = subprocess.Popen(command, cwd=tmp_path, stdout=log, stderr=log)
    try:
        until((tmp_path / "data" / "settings-file").is_file)
    finally:
        service.kill()
        service.wait()
    shown = json.loads(ok(tmp_path, "config", "show", "--json"))
    assert shown["AISTEMSPLITTER_SERVER_PUBLIC_URL"] == "https://splitter.example"
    assert shown["AISTEMSPLITTER_SERVER_DATABASE_URL"] == url
    file.unlink()
    done = run(tmp_path, "keys", "list")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "--env-file" in done.stderr


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["keys", "list", "--data", "d"], ["--data", "d", "keys", "list"]),
        (["up", "--data=d", "--env-file", "e"], ["--data=d", "--env-file", "e", "up"]),
        (["keys", "create", "--", "--data", "d"], ["keys", "create", "--", "--data", "d"]),
        (["up", "--data"], ["--data", "up"]),
    ],
)
def test_global_options_stand_before_or_after_the_command(
    given: list[str], expected: list[str]
) -> None:
    assert hoisted(given) == expected


@pytest.fixture
def folder(tmp_path: Path, sqlite_databases: Databases) -> Path:
    """A data folder with a migrated database."""
    sqlite_databases.create(Settings(data=tmp_path / "data").database)
    return tmp_path


def test_a_key_with_every_option(folder: Path) -> None:
    account = json.loads(ok(folder, "accounts", "create", "someone", "--json"))["id"]
    options = ["--scope", "splits:read", "--scope", "credits:read", "--expires", "90d"]
    options += ["--priority", "batch", "--test", "--name", "[red]theirs", "--account", account]
    made = json.loads(ok(folder, "keys", "create", *options, "--json"))
    assert made["apiKey"].startswith("ast_test_")
    assert made["webhookSecret"].startswith("whsec_")

    (listed,) = json.loads(ok(folder, "keys", "list", "--account", account, "--json"))
    assert listed["id"] == made["id"]
    assert listed["scopes"] == ["splits:read", "credits:read"]
    assert (listed["priority"], listed["mode"]) == ("batch", "test")
    lasts = datetime.fromisoformat(listed["expiresAt"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < lasts < timedelta(days=90)
    assert "[red]theirs" in ok(folder, "keys", "list")
    revoked = json.loads(ok(folder, "keys", "revoke", made["id"], "--json"))
    assert revoked["revokedAt"]


@pytest.mark.parametrize(
    ("expires", "stored"),
    [
        ("2099-12-31", "2099-12-31T00:00:00.000Z"),
        ("2099-12-31T10:00+02:00", "2099-12-31T08:00:00.000Z"),
    ],
)
def test_a_key_that_expires_on_a_date(folder: Path, expires: str, stored: str) -> None:
    ok(folder, "keys", "create", "--expires", expires)
    assert json.loads(ok(folder, "keys", "list", "--json"))[0]["expiresAt"] == stored


@pytest.mark.parametrize("expires", ["soon", "0d", "2001-01-01"])
def test_invalid_expiry_dates(folder: Path, expires: str) -> None:
    done = run(folder, "keys", "create", "--expires", expires)
    assert done.returncode == 2
    assert expires in done.stderr
    assert json.loads(ok(folder, "keys", "list", "--json")) == []


def test_credits_as_json(folder: Path) -> None:
    account = json.loads(ok(folder, "accounts", "create", "someone", "--json"))
    assert json.loads(ok(folder, "accounts", "list", "--json")) == [account]
    granted = json.loads(ok(folder, "credits", "grant", account["id"], "--minutes", "2", "--json"))
    assert (granted["seconds"], granted["balance"]) == (120, 720)
    withdraw = ["credits", "withdraw", account["id"], "--reason", "by mistake", "--minutes"]
    withdrawn = json.loads(ok(folder, *withdraw, "3", "--json"))
    assert (withdrawn["seconds"], withdrawn["balance"]) == (-180, 540)
    refused = run(folder, *withdraw, "10")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert "540" in refused.stderr
    shown = json.loads(ok(folder, "credits", "show", account["id"], "--json"))
    assert shown["balance"] == 540
    assert [entry["kind"] for entry in shown["entries"]] == ["withdrawal", "grant", "grant"]


def test_an_account_is_exported(folder: Path) -> None:
    account = ok(folder, "accounts", "create", "someone").strip()
    path = str(folder / "someone.zip")
    assert ok(folder, "accounts", "export", account, path) == f"{path}\n"
    with ZipFile(path) as archive:
        assert json.loads(archive.read("account.jsonl"))["name"] == "someone"
    refused = run(folder, "accounts", "export", account, path)
    assert (refused.returncode, refused.stderr) == (
        1,
        f"aistemsplitter-server: {path}: File exists\n",
    )
    assert '"account.exported"' in ok(folder, "audit", "export", "--account", account)


def test_the_configured_secret_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AISTEMSPLITTER_SERVER_SECRET", b64encode(bytes(32)).decode())
    ok(tmp_path, "db", "upgrade")
    ok(tmp_path, "keys", "create")
    assert not (tmp_path / "data" / "secret").exists()


def test_models_are_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "models"))
    listed = json.loads(ok(tmp_path, "models", "list", "--json"))
    assert {row["id"]: row["installed"] for row in listed} == {
        "htdemucs_ft": False,
        "htdemucs": False,
        "htdemucs_6s": False,
        "htdemucs_tiny": True,
    }
    assert "htdemucs_ft/4s" in ok(tmp_path, "models", "list")
    assert run(tmp_path, "models", "install", "nothing").returncode == 2


def test_a_model_that_cannot_be_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AISTEMSPLITTER_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setenv("AISTEMSPLITTER_WEIGHTS_MIRROR", "http://127.0.0.1:1/")
    done = run(tmp_path, "models", "install", "htdemucs")
    assert done.returncode == 1
    assert "could not be downloaded" in done.stderr


def test_an_account_is_suspended_resumed_and_deleted(tmp_path: Path) -> None:
    ok(tmp_path, "db", "upgrade")
    account = ok(tmp_path, "accounts", "create", "someone").strip()
    ok(tmp_path, "accounts", "suspend", account, "--reason", "did not pay")
    assert json.loads(ok(tmp_path, "accounts", "list", "--json"))[0]["state"] == "suspended"
    ok(tmp_path, "accounts", "resume", account)
    deleted = json.loads(ok(tmp_path, "accounts", "delete", account, "--yes", "--json"))
    assert deleted == {"id": account, "state": "deleting"}
    assert run(tmp_path, "accounts", "resume", account).returncode == 1

    lines = ok(tmp_path, "audit", "export", "--account", account).splitlines()
    found = [json.loads(line) for line in lines]
    assert [each["action"] for each in found if each["action"] != "account.created"] == [
        "account.suspended",
        "account.resumed",
        "account.deletion_started",
    ]
    assert found[0]["actor"].startswith("cli:")
    header, row = ok(
        tmp_path, "audit", "export", "--format", "csv", "--action", "account.suspended"
    ).splitlines()
    assert header.startswith("time,id,account,actor,")
    assert "did not pay" in row
