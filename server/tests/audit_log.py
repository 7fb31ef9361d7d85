"""Entries of the audit log, for tests."""

from __future__ import annotations

from sqlalchemy import select

from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.kit.database import Database


def entries(database: Database, account_id: str | None) -> list[AuditEntry]:
    """Return an account's entries, oldest first."""
    query = select(AuditEntry).where(AuditEntry.account_id == account_id)
    with database.read() as session:
        return list(session.scalars(query.order_by(AuditEntry.created_at, AuditEntry.id)))


def actions(database: Database, account_id: str | None, actor: str) -> list[str]:
    """Return the actions of one actor on an account, in alphabetical order."""
    return sorted(each.action for each in entries(database, account_id) if each.actor == actor)
