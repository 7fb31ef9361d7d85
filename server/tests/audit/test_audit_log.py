from __future__ import annotations

from datetime import timedelta

import httpx2
import pytest

from aistemsplitter_server.audit import service
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.worker.context import WorkerContext
from audit_log import entries
from customers import Customer
from sweeps import sweep


def test_an_entry_is_part_of_the_actions_transaction(database: Database, someone: Customer) -> None:
    account_id = someone.caller.account_id

    def grant() -> None:
        with database.write() as session:
            credits.grant(session, account_id, 60, "lost")
            service.record(session, account_id, "cli:x", Action.CREDITS_GRANTED)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        grant()
    assert entries(database, account_id) == []


def test_actions_of_keys(client: httpx2.Client, database: Database, someone: Customer) -> None:
    first, second = someone.split(), someone.split()
    with httpx2.Client(base_url=client.base_url, headers=someone.headers, timeout=60) as caller:
        caller.post(f"/v1/audio/splits/{first.id}/cancel").raise_for_status()
        caller.delete(f"/v1/audio/splits/{second.id}").raise_for_status()
        assert caller.post(f"/v1/audio/splits/{first.id}/cancel").status_code == 409
    found = [(e.action, e.target) for e in entries(database, someone.caller.account_id)]
    assert found == [("split.canceled", first.id), ("split.deleted", second.id)]
    assert {e.actor for e in entries(database, someone.caller.account_id)} == {
        someone.caller.key_id
    }


def test_old_entries_are_deleted(
    database: Database, someone: Customer, context: WorkerContext
) -> None:
    account_id = someone.caller.account_id
    old = times.now() - timedelta(days=366)
    with database.write() as session:
        for made in (old, times.now()):
            row = AuditEntry(
                id=ids.first("aud", made)[:-10] + ids.new("aud")[-10:],
                created_at=made,
                account_id=account_id,
                actor="cli:x",
                action=Action.KEY_CREATED,
                details={},
            )
            session.add(row)
    sweep(context, "audit")
    assert [each.created_at > old for each in entries(database, account_id)] == [True]
