"""The queries on accounts and keys."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account, ApiKey


def owner(session: Session) -> Account | None:
    """The operator's own account."""
    return session.scalars(select(Account).where(Account.is_owner)).one_or_none()


def accounts(session: Session) -> Sequence[Account]:
    """All accounts, oldest first."""
    return session.scalars(select(Account).order_by(Account.id)).all()


def keys(session: Session, account_id: str | None) -> Sequence[ApiKey]:
    """The keys of an account, or for the operator of all, oldest first."""
    query = select(ApiKey).order_by(ApiKey.id)
    if account_id is not None:
        query = query.where(ApiKey.account_id == account_id)
    return session.scalars(query).all()
