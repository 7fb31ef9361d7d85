"""Limits of an account: the settings' defaults, which the operator can override per account.

A limit of 0 means no limit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Self

from pydantic.alias_generators import to_camel
from sqlalchemy import bindparam, delete, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.accounts.tables import Account, AccountLimit
from aistemsplitter_server.kit.errors import LimitExceeded, NotFound, ValidationFailed
from aistemsplitter_server.kit.settings import Settings

HIGHEST = (1 << 53) - 1  # the largest integer that every JSON parser reads exactly
ASK = "ask the operator for a higher limit."
MESSAGES = {
    "stored_bytes": "The account's limit of stored bytes ({maximum}) leaves no room for this."
    " Delete splits, wait until older files expire, or ",
    "open_uploads": "The account has reached its limit of unfinished uploads ({maximum})."
    " Finish one, wait until one expires, or ",
    "queued_splits": "The account has reached its limit of queued splits ({maximum})."
    " Wait for one to begin, cancel one, or ",
    "queued_test_splits": "The account has reached its limit of queued splits of test"
    " keys ({maximum}). Wait for one to begin, cancel one, or ",
    "keys": "The account has reached its limit of API keys ({maximum}). Revoke one, or ",
    "webhook_endpoints": "The account has reached its limit of webhook endpoints ({maximum})."
    " Delete one, or ",
    "streams": "The account has reached its limit of open event streams ({maximum})."
    " Close one, poll instead, or ",
}

# Built once, and on the tables instead of the mapped classes: run with every new split.
_LIMITS = AccountLimit.__table__.c
_OVERRIDES = select(_LIMITS.name, _LIMITS.value).where(
    _LIMITS.account_id == bindparam("account_id")
)
_ACCOUNTS = Account.__table__.c
_LOCK = (
    select(_ACCOUNTS.state).where(_ACCOUNTS.id == bindparam("id")).with_for_update(key_share=True)
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of one account. Each field has a setting, ``ACCOUNT_`` and its name.

    Attributes:
        stored_bytes: Bytes of uploads and stems that are stored or reserved.
        open_uploads: Reserved uploads whose bytes have not all arrived.
        queued_splits: Queued splits of live keys and of people.
        queued_test_splits: Queued splits of test keys.
        keys: API keys that are neither revoked nor expired.
        streams: Open event streams, per API process.
        requests_per_minute: Requests per minute of all its API keys together.
        concurrent_fetches: Songs being fetched from their URLs at the same time.
        webhook_endpoints: Webhook endpoints of live and test keys together.
    """

    stored_bytes: int = 0
    open_uploads: int = 0
    queued_splits: int = 0
    queued_test_splits: int = 0
    keys: int = 0
    streams: int = 0
    requests_per_minute: int = 0
    concurrent_fetches: int = 0
    webhook_endpoints: int = 0

    @classmethod
    def defaults(cls, settings: Settings) -> Self:
        """Return the limits of an account without overrides."""
        return cls(**{name: getattr(settings, f"account_{name}") for name in NAMES})


NAMES = tuple(field.name for field in fields(Limits))


def overrides(session: Session, account_id: str) -> dict[str, int]:
    """Return the limits that the operator has overridden for an account, by name."""
    rows = session.execute(_OVERRIDES, {"account_id": account_id})
    return {name: value for name, value in rows if name in NAMES}


def limits_of(session: Session, settings: Settings, account_id: str) -> Limits:
    """Return the limits in force for an account."""
    return replace(Limits.defaults(settings), **overrides(session, account_id))


def set_limits(session: Session, account_id: str, values: Mapping[str, int | None]) -> None:
    """Override limits of an account. None removes the override.

    Raises:
        NotFound: The account does not exist.
        ValidationFailed: A limit does not exist, or its value is out of range.
    """
    wrong = [(name, "is not a limit") for name in values if name not in NAMES]
    wrong += [
        (name, f"must be from 0 to {HIGHEST}")
        for name, value in values.items()
        if value is not None and not 0 <= value <= HIGHEST
    ]
    if wrong:
        raise ValidationFailed(wrong)
    lock(session, account_id)
    known = AccountLimit.account_id == account_id
    session.execute(delete(AccountLimit).where(known, AccountLimit.name.in_(values)))
    session.add_all(
        AccountLimit(account_id=account_id, name=name, value=value)
        for name, value in values.items()
        if value is not None
    )
    session.flush()


def check(limits: Limits, name: str, count: Callable[[], int], adding: int = 1) -> None:
    """Check that an account may have more of something. Lock the account before counting.

    Args:
        name: The limit's name.
        count: Returns how many the account has. Not called without a limit: counting takes time.
        adding: How many are about to be added.

    Raises:
        LimitExceeded: The limit would be exceeded.
    """
    maximum: int = getattr(limits, name)
    if maximum and count() + adding > maximum:
        message = MESSAGES[name].format(maximum=maximum) + ASK
        raise LimitExceeded(to_camel(name), maximum, message)


def lock(session: Session, account_id: str) -> None:
    """Lock an account until the end of the transaction, so that counts stay valid.

    The lock leaves out the key (FOR NO KEY UPDATE), so rows that refer to the account can still be
    added. On SQLite there is only one writer anyway.

    Raises:
        NotFound: The account does not exist.
    """
    if _locked_state(session, account_id) is None:
        raise NotFound(f"There is no account {account_id[:64]}.")


def lock_active(session: Session, account_id: str) -> None:
    """Lock an active account that something is about to be added to.

    Raises:
        AccountSuspended: The account is suspended.
        NotFound: The account does not exist or is deleted.
    """
    standing.refuse(_locked_state(session, account_id))


def _locked_state(session: Session, account_id: str) -> str | None:
    state: str | None = session.scalar(_LOCK, {"id": account_id})
    return state
