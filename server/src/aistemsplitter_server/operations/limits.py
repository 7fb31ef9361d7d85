"""An account's limits with their defaults and current use, as the operator sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import limits
from aistemsplitter_server.accounts import queries as accounts
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import queries as splits
from aistemsplitter_server.uploads import queries as uploads


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of an account; 0 means no limit.

    Attributes:
        override: The operator's override; None if the default applies.
        used: Current use; None where only API processes know it.
    """

    name: str
    default: int
    override: int | None
    used: int | None

    @property
    def value(self) -> int:
        """The limit in force."""
        return self.default if self.override is None else self.override


def change(
    session: Session, account_id: str, values: Mapping[str, int | None], *, actor: str
) -> None:
    """Override limits of an account, or remove overrides with None, and record the changes.

    Args:
        actor: The actor for the audit log.

    Raises:
        NotFound: The account does not exist.
        ValidationFailed: A limit does not exist, or its value is out of range.
    """
    before = limits.overrides(session, account_id)
    limits.set_limits(session, account_id, values)
    changed = {
        name: "default" if value is None else value
        for name, value in values.items()
        if value != before.get(name)
    }
    if changed:
        audit.record(session, account_id, actor, Action.ACCOUNT_LIMITS_CHANGED, None, **changed)


def of_account(session: Session, settings: Settings, account_id: str) -> list[Limit]:
    """Return all limits of an account.

    Raises:
        NotFound: The account does not exist.
    """
    if session.get(Account, account_id) is None:
        raise NotFound(f"There is no account {account_id[:64]}.")
    defaults, overrides = Limits.defaults(settings), limits.overrides(session, account_id)
    now = times.now()
    used = {
        "stored_bytes": splits.stored_bytes(session, account_id),
        "open_uploads": uploads.open_uploads(session, account_id, now),
        "queued_splits": splits.queued(session, account_id, is_test=False),
        "queued_test_splits": splits.queued(session, account_id, is_test=True),
        "keys": accounts.keys_in_use(session, account_id, now),
    }
    return [
        Limit(name, getattr(defaults, name), overrides.get(name), used.get(name))
        for name in limits.NAMES
    ]
