"""The standing of accounts: one that is suspended or deleted may not act.

Nothing is cached, so what is read here holds in all processes from the commit on.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import ACTIVE, DELETING, SUSPENDED, Account
from aistemsplitter_server.kit.errors import AccountSuspended, Conflict, NotFound

_ACCOUNTS = Account.__table__.c
_STATE = select(_ACCOUNTS.state).where(_ACCOUNTS.id == bindparam("id"))
CHECK_EVERY = 1.0  # seconds, during a transfer


def is_active(session: Session, account_id: str) -> bool:
    """Return whether an account may act."""
    return session.scalar(_STATE, {"id": account_id}) == ACTIVE


def require_active(session: Session, account_id: str) -> None:
    """Return if an account may act.

    Raises:
        AccountSuspended: it is suspended.
        NotFound: there is no such account, or it is deleted.
    """
    refuse(session.scalar(_STATE, {"id": account_id}))


def require_not_deleted(session: Session, account_id: str) -> None:
    """Return if there is such an account, suspended or not.

    Raises:
        NotFound: there is none, or it is deleted.
    """
    if session.scalar(_STATE, {"id": account_id}) not in (ACTIVE, SUSPENDED):
        raise NotFound(f"There is no account {account_id[:64]}.")


def refuse(state: str | None) -> None:
    """Raise what ``require_active`` does, unless the state is active."""
    if state == SUSPENDED:
        raise AccountSuspended
    if state != ACTIVE:
        raise NotFound("There is no such account.")


def suspend(session: Session, account_id: str) -> bool:
    """Suspend an account; False if it is suspended already.

    Its keys, pages and URLs are refused from the commit on. What it has queued is cancelled by
    ``operations/closing.py``.

    Raises:
        NotFound: there is no such account, or it is deleted.
        Conflict: it is the operator's own.
    """
    account = held(session, account_id)
    if account.state == SUSPENDED:
        return False
    account.state = SUSPENDED
    return True


def resume(session: Session, account_id: str) -> bool:
    """Let a suspended account act again; False if it may already. What has ended stays so.

    Raises:
        NotFound: there is no such account, or it is deleted.
        Conflict: it is the operator's own.
    """
    account = held(session, account_id)
    if account.state == ACTIVE:
        return False
    account.state = ACTIVE
    return True


def start_deletion(session: Session, account_id: str) -> None:
    """Begin to delete an account: its keys and people are refused from the commit on.

    ``operations/closing.py`` finishes it.

    Raises:
        NotFound: there is no such account, or it is deleted.
        Conflict: it is the operator's own.
    """
    held(session, account_id).state = DELETING


def held(session: Session, account_id: str) -> Account:
    """Return an account, locked, whose standing can be changed.

    Raises:
        NotFound: there is no such account, or it is deleted.
        Conflict: it is the operator's own.
    """
    query = select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    account = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if account is None or account.state not in (ACTIVE, SUSPENDED):
        raise NotFound(f"There is no account {account_id[:64]}.")
    if account.is_owner:
        raise Conflict("The operator's own account can be neither suspended nor deleted.")
    return account


class Recheck:
    """Repeats a check during a long transfer, at most once a second.

    Args:
        check: raises if the transfer must end.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._due = time.monotonic() + CHECK_EVERY

    @property
    def is_due(self) -> bool:
        """Whether a second has passed since the last check."""
        return time.monotonic() >= self._due

    def __call__(self) -> None:
        """Check, if it is due."""
        if self.is_due:
            self._due = time.monotonic() + CHECK_EVERY
            self._check()
