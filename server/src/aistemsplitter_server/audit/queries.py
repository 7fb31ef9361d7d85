"""Queries on the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from aistemsplitter_server.audit.tables import AuditEntry


def page(
    session: Session,
    account_id: str | None,
    *,
    action: str | None = None,
    before: str | None = None,
    limit: int,
) -> Sequence[AuditEntry]:
    """Return entries of an account, newest first; for the operator, of all accounts.

    Args:
        before: Return only entries with smaller ids.
    """
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(AuditEntry.account_id == account_id)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return session.scalars(query).all()


def after(
    session: Session, account_id: str | None, *, action: str | None, after: str, limit: int
) -> Sequence[AuditEntry]:
    """Return entries with larger ids, oldest first."""
    query = select(AuditEntry).where(AuditEntry.id > after).order_by(AuditEntry.id).limit(limit)
    if account_id is not None:
        query = query.where(AuditEntry.account_id == account_id)
    if action is not None:
        query = query.where(AuditEntry.action == action)
    return session.scalars(query).all()


def anonymise(session: Session, account_id: str) -> None:
    """Erase the details of an account's entries. Actor, action and time stay, by their ids."""
    session.execute(
        update(AuditEntry).where(AuditEntry.account_id == account_id).values(details={})
    )
