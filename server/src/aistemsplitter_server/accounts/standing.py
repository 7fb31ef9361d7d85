"""The state of accounts: suspended and deleted accounts may not act.

Nothing is cached, so a change takes effect in all processes from the commit on.
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
    """Return whether an account is active."""
    return session.scalar(_STATE, {"id": account_id}) == ACTIVE


def require_active(session: Session, account_id: str) -> None:
    """Check that an account is active.

    Raises:
        AccountSuspended: The account is suspended.
        NotFound: The account does not exist or is deleted.
    """
    refuse(session.scalar(_STATE, {"id": account_id}))


def require_not_deleted(session: Session, account_id: str) -> None:
    """Check that an account exists and is not deleted. It may be suspended.

    Raises:
        NotFound: The account does not exist or is deleted.
    """
    if session.scalar(_STATE, {"id": account_id}) not in (ACTIVE, SUSPENDED):
        raise NotFound(f"There is no account {account_id[:64]}.")


def refuse(state: str | None) -> None:
    """Raise what :func:`require_active` raises for an account in this state."""
    if state == SUSPENDED:
        raise AccountSuspended
    if state != ACTIVE:
        raise NotFound("There is no such account.")


def suspend(session: Session, account_id: str) -> bool:
    """Suspend an account; return False if it was suspended already.

    Its keys, pages and URLs are refused from the commit on. ``operations/closing.py`` cancels its
    queued splits.

    Raises:
        NotFound: The account does not exist or is deleted.
        Conflict: It is the operator's own account.
    """
    return _set_state(session, account_id, SUSPENDED)


def resume(session: Session, account_id: str) -> bool:
    """Resume a suspended account; return False if it was active. Cancelled splits stay cancelled.

    Raises:
        NotFound: The account does not exist or is deleted.
        Conflict: It is the operator's own account.
    """
    return _set_state(session, account_id, ACTIVE)


def start_deletion(session: Session, account_id: str) -> None:
    """Start to delete an account. Its keys and people are refused from the commit on.

    ``operations/closing.py`` finishes the deletion.

    Raises:
        NotFound: The account does not exist or is deleted.
        Conflict: It is the operator's own account.
    """
    locked(session, account_id).state = DELETING


def locked(session: Session, account_id: str) -> Account:
    """Return an account whose state can be changed, locked.

    Raises:
        NotFound: The account does not exist or is deleted.
        Conflict: It is the operator's own account.
    """
    query = select(Account).where(Account.id == account_id).with_for_update(key_share=True)
    account = session.scalars(query.execution_options(populate_existing=True)).one_or_none()
    if account is None or account.state not in (ACTIVE, SUSPENDED):
        raise NotFound(f"There is no account {account_id[:64]}.")
    if account.is_owner:
        raise Conflict("The operator's own account can be neither suspended nor deleted.")
    return account


def _set_state(session: Session, account_id: str, state: str) -> bool:
    account = locked(session, account_id)
    if account.state == state:
        return False
    account.state = state
    return True


class Recheck:
    """Repeats a check during a long transfer, at most once a second.

    Args:
        check: Raises an exception if the transfer must end.
    """

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._due = time.monotonic() + CHECK_EVERY

    @property
    def is_due(self) -> bool:
        """Whether a second has passed since the last check."""
        return time.monotonic() >= self._due

    def __call__(self) -> None:
        """Run the check if it is due."""
        if self.is_due:
            self._due = time.monotonic() + CHECK_EVERY
            self._check()
