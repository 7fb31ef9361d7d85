"""The accounts of the service, as its operator looks after them."""

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


@dataclass(frozen=True, slots=True)
class Known:
    """An account, and what is going on in it.

    Attributes:
        people: how many sign in for it.
        balance: seconds that it can spend.
        splits: how many it asked for in the last 30 days.
        active: when somebody was seen, a key was used or a song was split last.
    """

    account: Account
    people: int
    balance: int
    splits: int
    active: datetime | None


def page(
    session: Session, now: datetime, *, text: str, before: str | None, limit: int
) -> Sequence[Known]:
    """Accounts, newest first, those with smaller ids than ``before``.

    Args:
        text: what their name, id or the email of one of their people has in it.
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
    """A single one.

    Raises:
        NotFound: there is none.
    """
    row = session.execute(_known(now).where(Account.id == account_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no account {account_id[:64]}.")
    return _made(*row)


def _known(now: datetime) -> Select[*tuple[Any, ...]]:
    """Each column is one look into an index, for the few accounts that are shown."""
    newest_entry = select(Entry.balance).where(Entry.account_id == Account.id)
    splits = select(func.count()).where(Split.account_id == Account.id)
    newest_split = select(Split.created_at).where(Split.account_id == Account.id)
    seen = select(func.max(SignIn.seen_at)).join(Person, Person.id == SignIn.person_id)
    columns: Sequence[Select[*tuple[Any, ...]]] = (
        select(func.count()).where(Person.account_id == Account.id),
        newest_entry.order_by(Entry.number.desc()).limit(1),
        splits.where(Split.id >= ids.first("split", now - MONTH)),
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
