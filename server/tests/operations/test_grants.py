"""Grants of credits by the operator."""

from __future__ import annotations

import pytest
from sqlalchemy import func, select

from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.operations import grants
from customers import customer


def test_a_grant_with_an_id_is_made_and_recorded_once(
    database: Database, server_secrets: Secrets
) -> None:
    someone, other = (customer(database, server_secrets) for _ in range(2))
    before, entry_id = someone.balance, ids.new("ent")
    for _ in range(2):
        with database.write() as session:
            grants.book(
                session, someone.caller.account_id, 60, "why not", "per_1", entry_id=entry_id
            )
    assert someone.balance == before + 60
    with database.write() as session, pytest.raises(Conflict):
        grants.book(session, other.caller.account_id, 60, "why not", "per_1", entry_id=entry_id)
    with database.read() as session:
        granted = AuditEntry.action == Action.CREDITS_GRANTED
        assert session.scalar(select(func.count()).where(granted)) == 1
