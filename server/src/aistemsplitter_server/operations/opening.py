"""Opening accounts, with the free credits that each new one starts with."""

from __future__ import annotations

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import queries
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits


def open_account(
    session: Session,
    name: str,
    *,
    free_seconds: int,
    is_owner: bool = False,
    account_id: str | None = None,
) -> Account:
    """Create an account and grant it its free credits.

    Args:
        free_seconds: Credits to grant; 0 for none.
        is_owner: Whether it is the operator's own account.
        account_id: The id to use, where a form that is sent twice must not create two accounts.

    Raises:
        Conflict: An account with this id exists.
    """
    account = accounts.create_account(session, name, is_owner=is_owner, account_id=account_id)
    if free_seconds:
        credits.grant(session, account.id, free_seconds, "free credits of a new account")
    return account


def owner_account(session: Session, actor: str, *, free_seconds: int) -> Account:
    """Return the operator's own account; open it first, and record that, if there is none."""
    if (owner := queries.owner(session)) is not None:
        return owner
    owner = open_account(session, "owner", free_seconds=free_seconds, is_owner=True)
    audit.record(
        session,
        owner.id,
        actor,
        Action.ACCOUNT_CREATED,
        name=owner.name,
        seconds=free_seconds,
    )
    return owner
