"""The queries on accounts and keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account, ApiKey

# Asked with every request, so it is built once, and of the table: rows as objects cost twice.
_KEYS = ApiKey.__table__.c
_IDENTIFYING = select(
    _KEYS.account_id,
    _KEYS.is_test,
    _KEYS.digest,
    _KEYS.scopes,
    _KEYS.top_priority,
    _KEYS.expires_at,
    _KEYS.last_used_at,
    _KEYS.revoked_at,
).where(_KEYS.id == bindparam("key_id"))


def identifying(connection: Connection, key_id: str) -> Row[*tuple[Any, ...]] | None:
    """What decides about a request that comes with the key."""
    return connection.execute(_IDENTIFYING, {"key_id": key_id}).one_or_none()


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
