from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-c", "from aistemsplitter_server.cli import main; main()"]


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--data", str(folder / "data"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=60)


def ok(folder: Path, *arguments: str) -> str:
    done = run(folder, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_from_nothing_to_a_revoked_key(tmp_path: Path) -> None:
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


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["accounts", "list"], "db upgrade"),
        (["api", "--port", "70000"], "AISTEMSPLITTER_SERVER_PORT: "),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    tmp_path: Path, arguments: list[str], reason: str
) -> None:
    done = run(tmp_path, *arguments)
    assert done.returncode == 1
    assert reason in done.stderr
    assert done.stderr.count("\n") == 1


def test_config_hides_passwords(tmp_path: Path) -> None:
    url = "postgresql://user:hunter2@db/service"
    (tmp_path / ".env").write_text(f"AISTEMSPLITTER_SERVER_DATABASE_URL={url}\n")
    shown = ok(tmp_path, "config", "show")
    assert "AISTEMSPLITTER_SERVER_PORT=8000" in shown
    assert "hunter2" not in shown
