from __future__ import annotations

import json
from pathlib import Path

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.queueing import BATCH
from aistemsplitter_server.splits.retries import retry_failed
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.uploads.tables import Upload
from command_line import ok, run
from customers import Customer, customer


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with a minute of credits."""
    return customer(database, server_secrets, seconds=60)


def test_the_operator_lists_cancels_and_retries_splits(
    someone: Customer, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PREFIX + "DATABASE_URL", settings.database)
    split = someone.split(20)
    (listed,) = json.loads(ok(tmp_path, "splits", "list", "--status", "queued", "--json"))
    assert (listed["id"], listed["accountId"]) == (split.id, someone.caller.account_id)
    assert split.id in ok(tmp_path, "splits", "list")

    refused = run(tmp_path, "splits", "retry", split.id)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "queued" in refused.stderr

    ok(tmp_path, "splits", "cancel", split.id)
    assert someone.balance == 60
    shown = json.loads(ok(tmp_path, "splits", "show", split.id, "--json"))
    assert (shown["status"], shown["error"]["code"]) == ("failed", "CANCELED")
    assert "CANCELED" in ok(tmp_path, "splits", "show", split.id)
    assert run(tmp_path, "splits", "cancel", split.id).returncode == 1

    retried = json.loads(ok(tmp_path, "splits", "retry", split.id, "--json"))
    assert (retried["status"], retried["creditsUsed"]) == ("queued", 20)
    assert retried["id"] != split.id
    assert someone.balance == 40
    assert run(tmp_path, "splits", "show", "split_none").stderr.count("\n") == 1


def test_a_retry_submits_the_same_request(someone: Customer, settings: Settings) -> None:
    first = someone.split(20, priority="batch")
    with someone.database.write() as session:
        service.cancel(session, session.get_one(Split, first.id))
    with someone.database.write() as session:
        second, _ = retry_failed(session, settings, session.get_one(Split, first.id))
    assert second.turn >= BATCH
    same = ("stem_model", "output_format", "stems", "upload_id", "filename", "key_id")
    for name in same:
        assert getattr(second, name) == getattr(first, name)


def test_a_split_of_a_deleted_upload_cannot_be_retried(
    someone: Customer, settings: Settings
) -> None:
    first = someone.split(20)
    with someone.database.write() as session:
        service.cancel(session, session.get_one(Split, first.id))
        session.get_one(Upload, first.upload_id).deleted_at = times.now()
    with pytest.raises(Conflict, match="deleted"), someone.database.write() as session:
        retry_failed(session, settings, session.get_one(Split, first.id))
    assert someone.balance == 60
