"""The queries on the ledger, each for one account."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.orm import Session

from aistemsplitter_server.credits.tables import Entry

# Asked often, so it is built once, and of the table: rows as objects cost twice the time.
_ENTRIES = Entry.__table__.c
_BALANCE = (
    select(_ENTRIES.balance)
    .where(_ENTRIES.account_id == bindparam("account_id"))
    .order_by(_ENTRIES.number.desc())
    .limit(1)
)


def balance(session: Session | Connection, account_id: str) -> int | None:
    """The sum of all entries, which the newest bears; None where there is none."""
    found: int | None = session.scalar(_BALANCE, {"account_id": account_id})
    return found


def last(session: Session, account_id: str) -> Entry | None:
    """The newest entry."""
    query = select(Entry).where(Entry.account_id == account_id).order_by(Entry.number.desc())
    return session.scalars(query.limit(1)).one_or_none()


def of_split(session: Session, account_id: str, split_id: str, kind: str) -> Entry | None:
    """The charge or the refund of a split."""
    query = select(Entry).where(
        Entry.account_id == account_id, Entry.split_id == split_id, Entry.kind == kind
    )
    return session.scalars(query).one_or_none()


def entries(session: Session, account_id: str, limit: int) -> Sequence[Entry]:
    """The newest entries, newest first."""
    query = select(Entry).where(Entry.account_id == account_id).order_by(Entry.number.desc())
    return session.scalars(query.limit(limit)).all()
