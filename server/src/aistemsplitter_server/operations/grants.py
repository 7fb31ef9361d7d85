"""Grants and withdrawals of credits by the operator, on pages and by the command."""

from __future__ import annotations

from typing import Annotated

from pydantic import StringConstraints
from sqlalchemy.orm import Session

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.credits.tables import Entry

MOST_MINUTES = 100_000  # in one grant or withdrawal on a page
# Made with the form, so that a form that is sent twice has its effect once.
EntryId = Annotated[str, StringConstraints(pattern=r"^ent_[0-9A-HJKMNP-TV-Z]{26}$")]


def grant(
    session: Session,
    account_id: str,
    seconds: int,
    reason: str,
    actor: str,
    *,
    entry_id: str | None = None,
) -> Entry:
    """Grant an account credits, and record it in the audit log.

    Args:
        entry_id: The id of the entry to create. If it exists already, nothing is granted.

    Raises:
        NotFound: The account does not exist.
        Conflict: The entry is another account's.
    """
    is_new = _is_new(session, entry_id)
    entry = credits.grant(session, account_id, seconds, reason, entry_id=entry_id)
    if is_new:
        _record(session, entry, actor, Action.CREDITS_GRANTED)
    return entry


def withdraw(
    session: Session,
    account_id: str,
    seconds: int,
    reason: str,
    actor: str,
    *,
    entry_id: str | None = None,
) -> Entry:
    """Withdraw credits from an account, and record it in the audit log.

    Args:
        entry_id: The id of the entry to create. If it exists already, nothing is withdrawn.

    Raises:
        InsufficientCredits: The balance does not cover the amount.
        NotFound: The account does not exist.
        Conflict: The entry is another account's.
    """
    is_new = _is_new(session, entry_id)
    entry = credits.withdraw(session, account_id, seconds, reason, entry_id=entry_id)
    if is_new:
        _record(session, entry, actor, Action.CREDITS_WITHDRAWN)
    return entry


def _is_new(session: Session, entry_id: str | None) -> bool:
    return entry_id is None or session.get(Entry, entry_id) is None


def _record(session: Session, entry: Entry, actor: str, action: Action) -> None:
    audit.record(
        session,
        entry.account_id,
        actor,
        action,
        entry.id,
        seconds=abs(entry.seconds),
        reason=entry.reason,
    )
