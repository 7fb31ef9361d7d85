"""Accounts as the operator sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account, ApiKey, Person, SignIn
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.splits.tables import Split

MONTH = timedelta(days=30)
MOST = 10_000  # splits of an account that are counted


@dataclass(frozen=True, slots=True)
class Known:
    """An account, and its activity.

    Attributes:
        people: The number of people who can sign in for it.
        balance: Seconds that it can spend.
        splits: The number of splits created in the last 30 days, at most ``MOST``.
        active: When a person was last seen, a key used, or a split created.
    """

    account: Account
    people: int
    balance: int
    splits: int
    active: datetime | None

    @property
    def has_more_splits(self) -> bool:
        """Whether there may be more splits than were counted."""
        return self.splits >= MOST


def page(
    session: Session, now: datetime, *, text: str, before: str | None, limit: int
) -> Sequence[Known]:
    """Return accounts with smaller ids than ``before``, newest first.

    Args:
        text: Return only accounts with this in their name, their id or a person's email address.
    """
    query = _known(now)
    if text:
        email = select(Person.id).where(
            Person.account_id == Account.id, Person.email.icontains(text, autoescape=True)
        )
        name = Account.name.icontains(text, autoescape=True)
        query = query.where(or_(name, Account.id == text, email.exists()))
    if before is not None:
        query = query.where(Account.id < before)
    rows = session.execute(query.order_by(Account.id.desc()).limit(limit))
    return [_made(*row) for row in rows]


def one(session: Session, now: datetime, account_id: str) -> Known:
    """Return one account.

    Raises:
        NotFound: The account does not exist.
    """
    row = session.execute(_known(now).where(Account.id == account_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no account {account_id[:64]}.")
    return _made(*row)


def _known(now: datetime) -> Select[*tuple[Any, ...]]:
    """Each column is one index lookup, for the few accounts that are shown."""
    newest_entry = select(Entry.balance).where(Entry.account_id == Account.id)
    recent = select(Split.id).where(
        Split.account_id == Account.id, Split.id >= ids.first("split", now - MONTH)
    )
    counted = recent.correlate(Account).limit(MOST).subquery()
    newest_split = select(Split.created_at).where(Split.account_id == Account.id)
    seen = select(func.max(SignIn.seen_at)).join(Person, Person.id == SignIn.person_id)
    columns: Sequence[Select[*tuple[Any, ...]]] = (
        select(func.count()).where(Person.account_id == Account.id),
        newest_entry.order_by(Entry.number.desc()).limit(1),
        select(func.count()).select_from(counted),
        newest_split.order_by(Split.id.desc()).limit(1),
        seen.where(Person.account_id == Account.id),
        select(func.max(ApiKey.last_used_at)).where(ApiKey.account_id == Account.id),
    )
    return select(Account, *(column.correlate(Account).scalar_subquery() for column in columns))


def _made(
    account: Account, people: int, balance: int | None, splits: int, *active: datetime | None
) -> Known:
    seen = [moment for moment in active if moment is not None]
    return Known(account, people, balance or 0, splits, max(seen, default=None))
