"""``accounts limits``, run in this process because starting the command takes a second."""

from __future__ import annotations

import json

import pytest
from click.testing import Result
from typer.testing import CliRunner

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.cli.commands import app
from aistemsplitter_server.kit.errors import LimitExceeded, NotFound, ValidationFailed
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings
from customers import Customer


@pytest.fixture(autouse=True)
def _its_database(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFIX + "DATABASE_URL", settings.database)
    monkeypatch.setenv(PREFIX + "DATA", str(settings.data))


def limits(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["accounts", "limits", *arguments])


def test_limits_are_shown_and_changed(
    someone: Customer, settings: Settings, server_secrets: Secrets
) -> None:
    account = someone.caller.account_id
    shown = json.loads(limits(account, "keys=1", "streams=0", "--json").output)
    rows = {row.pop("limit"): row for row in shown}
    assert rows["keys"] == {"value": 1, "default": 100, "used": 1}
    assert rows["streams"] == {"value": 0, "default": 200, "used": None}
    with someone.database.read() as session:
        allowed = limits_of(session, settings, account)
    with pytest.raises(LimitExceeded), someone.database.write() as session:
        accounts.create_key(session, server_secrets, account, limits=allowed)
    assert "stored_bytes" in limits(account, "keys=default").output
    with someone.database.read() as session:
        assert limits_of(session, settings, account).keys == 100
        recorded = session.query(AuditEntry).order_by(AuditEntry.id).all()
    assert [entry.details for entry in recorded if entry.action == "account.limits_changed"] == [
        {"keys": 1, "streams": 0},
        {"keys": "default"},
    ]


@pytest.mark.parametrize("change", ["keys", "keys=", "keys=-1", "keys=1.5", "keys=²"])
def test_malformed_changes(someone: Customer, change: str) -> None:
    answer = limits(someone.caller.account_id, change)
    assert answer.exit_code == 2


def test_invalid_values(someone: Customer) -> None:
    account = someone.caller.account_id
    for change in ("songs=1", f"keys={1 << 60}"):
        assert isinstance(limits(account, change).exception, ValidationFailed)
    assert isinstance(limits("acc_none").exception, NotFound)
    assert isinstance(limits("acc_none", "keys=1").exception, NotFound)
