"""The queries on the ledger, each for one account."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.orm import Session

from aistemsplitter_server.credits.tables import Entry

# Asked often, so they are built once, and of the table: rows as objects cost twice the time.
_ENTRIES = Entry.__table__.c
_LAST = (
    select(_ENTRIES.balance, _ENTRIES.number)
    .where(_ENTRIES.account_id == bindparam("account_id"))
    .order_by(_ENTRIES.number.desc())
    .limit(1)
)
_OF_SPLIT = select(Entry).where(
    Entry.account_id == bindparam("account_id"),
    Entry.split_id == bindparam("split_id"),
    Entry.kind == bindparam("kind"),
)


def balance(session: Session | Connection, account_id: str) -> int | None:
    """The sum of all entries, which the newest bears; None where there is none."""
    found: int | None = session.scalar(_LAST, {"account_id": account_id})
    return found


def last(session: Session, account_id: str) -> tuple[int, int]:
    """Balance and number of the newest entry; zeros where there is none."""
    found = session.execute(_LAST, {"account_id": account_id}).one_or_none()
    return (found.balance, found.number) if found else (0, 0)


def of_split(session: Session, account_id: str, split_id: str, kind: str) -> Entry | None:
    """The charge or the refund of a split."""
    found = {"account_id": account_id, "split_id": split_id, "kind": kind}
    return session.scalars(_OF_SPLIT, found).one_or_none()


def entries(session: Session, account_id: str, limit: int) -> Sequence[Entry]:
    """The newest entries, newest first."""
    query = select(Entry).where(Entry.account_id == account_id).order_by(Entry.number.desc())
    return session.scalars(query.limit(limit)).all()
