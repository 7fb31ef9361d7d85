"""Limits of an account: the settings' defaults, which the operator can override for each account.

A limit of 0 is no limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from pydantic.alias_generators import to_camel
from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.tables import Account, AccountLimit
from aistemsplitter_server.kit.errors import LimitExceeded, NotFound, ValidationFailed
from aistemsplitter_server.kit.settings import Settings

HIGHEST = (1 << 53) - 1  # what JSON numbers hold exactly
ASK = "ask the operator for a higher limit."
MESSAGES = {
    "stored_bytes": "The account's limit of stored bytes ({maximum}) leaves no room for this."
    " Delete splits, wait until older files expire, or ",
    "open_uploads": "The account has as many unfinished uploads as it may ({maximum})."
    " Finish one, wait until one expires, or ",
    "queued_splits": "The account has as many splits waiting as it may ({maximum})."
    " Wait until one has begun, cancel one, or ",
    "queued_test_splits": "The account has as many splits of test keys waiting as it may"
    " ({maximum}). Wait until one has begun, cancel one, or ",
    "keys": "The account has as many API keys in use as it may ({maximum}). Revoke one, or ",
    "streams": "The account follows as many event streams at once as it may ({maximum})."
    " Close one, poll instead, or ",
}

# Built once, and of the tables: asked with every new split.
_LIMITS = AccountLimit.__table__.c
_OVERRIDES = select(_LIMITS.name, _LIMITS.value).where(
    _LIMITS.account_id == bindparam("account_id")
)
_ACCOUNTS = Account.__table__.c
_HOLD = (
    select(_ACCOUNTS.state).where(_ACCOUNTS.id == bindparam("id")).with_for_update(key_share=True)
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one account may have at once; each field has a setting, ``ACCOUNT_`` and its name.

    Attributes:
        stored_bytes: uploads and stems that are stored, and what is reserved for those to come.
        open_uploads: reserved uploads whose bytes have not all arrived.
        queued_splits: splits of live keys and of people that have not begun.
        queued_test_splits: splits of test keys that have not begun.
        keys: API keys that are neither revoked nor expired.
        streams: event streams of one API process.
        requests_per_minute: requests of all its API keys together.
        concurrent_fetches: songs being fetched from their URLs.
    """

    stored_bytes: int = 0
    open_uploads: int = 0
    queued_splits: int = 0
    queued_test_splits: int = 0
    keys: int = 0
    streams: int = 0
    requests_per_minute: int = 0
    concurrent_fetches: int = 0

    @classmethod
    def defaults(cls, settings: Settings) -> Self:
        """Return the limits of an account for which the operator has set none."""
        return cls(**{name: getattr(settings, f"account_{name}") for name in NAMES})


NAMES = tuple(field.name for field in fields(Limits))


def overrides(session: Session, account_id: str) -> dict[str, int]:
    """Return the limits that the operator has set for this account, by name."""
    rows = session.execute(_OVERRIDES, {"account_id": account_id})
    return {name: value for name, value in rows if name in NAMES}


def limits_of(session: Session, settings: Settings, account_id: str) -> Limits:
    """Return the limits in force for an account."""
    return replace(Limits.defaults(settings), **overrides(session, account_id))


def set_limits(session: Session, account_id: str, values: Mapping[str, int | None]) -> None:
    """Override limits of an account; None returns one to the setting's default.

    Raises:
        NotFound: there is no such account.
        ValidationFailed: there is no such limit, or its value is out of range.
    """
    wrong = [(name, "is not a limit") for name in values if name not in NAMES]
    wrong += [
        (name, f"must be from 0 to {HIGHEST}")
        for name, value in values.items()
        if value is not None and not 0 <= value <= HIGHEST
    ]
    if wrong:
        raise ValidationFailed(wrong)
    hold(session, account_id)
    known = AccountLimit.account_id == account_id
    session.execute(delete(AccountLimit).where(known, AccountLimit.name.in_(values)))
    session.add_all(
        AccountLimit(account_id=account_id, name=name, value=value)
        for name, value in values.items()
        if value is not None
    )
    session.flush()


def check(limits: Limits, name: str, count: int, adding: int = 1) -> None:
    """Make sure that there is room for more; ``hold`` the account before counting.

    Args:
        name: of the limit.
        count: what the account has of it.
        adding: what is about to be added.

    Raises:
        LimitExceeded: there is not.
    """
    maximum: int = getattr(limits, name)
    if maximum and count + adding > maximum:
        message = MESSAGES[name].format(maximum=maximum) + ASK
        raise LimitExceeded(to_camel(name), maximum, message)


def hold(session: Session, account_id: str) -> None:
    """Hold an account to the end of the transaction, so that what is counted now stays true.

    Its key is not locked (FOR NO KEY UPDATE), so rows that refer to the account can be added
    meanwhile; on SQLite a writer is alone anyway.

    Raises:
        NotFound: there is no such account.
    """
    if _held_state(session, account_id) is None:
        raise NotFound(f"There is no account {account_id[:64]}.")


def hold_active(session: Session, account_id: str) -> None:
    """Hold an account that is about to get something new.

    Raises:
        AccountSuspended: it is suspended.
        NotFound: there is no such account, or it is deleted.
    """
    standing.refuse(_held_state(session, account_id))


def _held_state(session: Session, account_id: str) -> str | None:
    state: str | None = session.scalar(_HOLD, {"id": account_id})
    return state
