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


def book(
    session: Session,
    account_id: str,
    seconds: int,
    reason: str,
    actor: str,
    *,
    entry_id: str | None = None,
) -> Entry:
    """Grant an account credits, or withdraw some, and record it in the audit log.

    Args:
        seconds: The amount; below 0 it is withdrawn.
        entry_id: The id of the entry to create. If it exists already, nothing happens.

    Raises:
        InsufficientCredits: The balance does not cover the withdrawal.
        NotFound: The account does not exist.
        Conflict: The entry is another account's, or of another kind.
    """
    is_new = entry_id is None or session.get(Entry, entry_id) is None
    change = credits.grant if seconds > 0 else credits.withdraw
    entry = change(session, account_id, abs(seconds), reason, entry_id=entry_id)
    if is_new:
        audit.record(
            session,
            account_id,
            actor,
            Action.CREDITS_GRANTED if seconds > 0 else Action.CREDITS_WITHDRAWN,
            entry.id,
            seconds=abs(seconds),
            reason=reason,
        )
    return entry
