"""Queries on the ledger, each for one account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Date,
    and_,
    bindparam,
    exists,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.orm import Session, aliased

from aistemsplitter_server.credits.tables import Entry, Reservation
from aistemsplitter_server.kit.database import UtcTime

DAY = timedelta(days=1)
ONE_CHARGE = 1 << 32  # more than the seconds charged on a day

# Run often. Built once, and on the table: mapped objects take twice the time.
_ENTRIES = Entry.__table__.c
_OTHERS = Entry.__table__.alias().c
_BALANCE = (
    select(_ENTRIES.balance)
    .where(_ENTRIES.account_id == bindparam("account_id"))
    .order_by(_ENTRIES.number.desc())
    .limit(1)
)
_RESERVED = Reservation.__table__.c
_KEPT_BACK = select(func.coalesce(func.sum(_RESERVED.seconds), 0)).where(
    _RESERVED.account_id == bindparam("account_id"), _RESERVED.split_id != bindparam("split_id")
)
_HAS_RESERVATION = exists().where(_RESERVED.split_id == bindparam("split_id"))
# By the split alone: with a condition on the account, SQLite would read all its entries.
_KNOWS = exists().where(_OTHERS.split_id == bindparam("split_id"))
_LAST = _BALANCE.add_columns(
    _ENTRIES.number,
    _KNOWS.label("knows_split"),
    _HAS_RESERVATION.label("has_reservation"),
    _KEPT_BACK.scalar_subquery().label("kept_back"),
)
_OF_SPLIT = select(Entry).where(
    Entry.account_id == bindparam("account_id"),
    Entry.split_id == bindparam("split_id"),
    Entry.kind == bindparam("kind"),
)


def balance(session: Session | Connection, account_id: str) -> int | None:
    """Return the sum of all entries, which the newest holds; None without entries."""
    found: int | None = session.scalar(_BALANCE, {"account_id": account_id})
    return found


class Last(NamedTuple):
    """An account's newest entry, and what is known of a split. Zeros without entries.

    Attributes:
        knows_split: Whether the split has any entry.
        has_reservation: Whether credits are reserved for the split.
        kept_back: Seconds that are reserved for other splits of the account.
    """

    balance: int
    number: int
    knows_split: bool = False
    has_reservation: bool = False
    kept_back: int = 0

    @property
    def available(self) -> int:
        """Seconds that can be reserved for the split at most."""
        return self.balance - self.kept_back


def last(session: Session, account_id: str, split_id: str | None = None) -> Last:
    """Return the account's newest entry, which the next one has to continue."""
    found = session.execute(_LAST, {"account_id": account_id, "split_id": split_id}).one_or_none()
    return Last(*found) if found else Last(0, 0)


def of_split(session: Session, account_id: str, split_id: str, kind: str) -> Entry | None:
    """Return the charge or the refund of a split."""
    found = {"account_id": account_id, "split_id": split_id, "kind": kind}
    return session.scalars(_OF_SPLIT, found).one_or_none()


def entries(
    session: Session, account_id: str, limit: int, *, before: int | None = None
) -> Sequence[Entry]:
    """Return entries with smaller numbers than ``before``, newest first."""
    query = select(Entry).where(Entry.account_id == account_id).order_by(Entry.number.desc())
    if before is not None:
        query = query.where(Entry.number < before)
    return session.scalars(query.limit(limit)).all()


def entries_after(session: Session, account_id: str, number: int, limit: int) -> Sequence[Entry]:
    """Return entries with larger numbers, oldest first."""
    query = select(Entry).where(Entry.account_id == account_id, Entry.number > number)
    return session.scalars(query.order_by(Entry.number).limit(limit)).all()


def used_by_day(
    session: Session, account_id: str, since: datetime, until: datetime
) -> Sequence[tuple[date, int, int]]:
    """Return for each day (UTC) the seconds and splits that were charged and not refunded.

    A refund is subtracted from the day of its charge, whenever it comes, so no day is below zero.

    Args:
        since: The midnight at which the first day begins.
        until: The midnight at which the last day ends.
    """
    # First: each refund has its charge in the next read.
    refunded = _refunded(session, account_id, since, until)
    used = {
        on: (seconds, splits) for on, seconds, splits in _charged(session, account_id, since, until)
    }
    for charged_on, seconds, splits in refunded:
        used[charged_on] = (used[charged_on][0] - seconds, used[charged_on][1] - splits)
    return [(on, *amounts) for on, amounts in used.items()]


def _charged(
    session: Session, account_id: str, since: datetime, until: datetime
) -> Sequence[tuple[date, int, int]]:
    """Return the seconds and splits charged on each day.

    Each day is a range of the index. Computing the day of each of 100,000 charges, and grouping by
    it, takes three times as long. A range that is read for one sum instead of two takes half the
    time, so each charge adds one to the bits above the seconds.
    """
    day = _days(session, since, until)
    charges = (
        Entry.account_id == account_id,
        Entry.kind == "charge",
        Entry.created_at >= day.c.begins,
        Entry.created_at < day.c.ends,
    )
    both = func.coalesce(func.sum(literal(ONE_CHARGE, BigInteger) - Entry.seconds), 0)
    of_day = select(both).where(*charges).correlate(day).scalar_subquery()
    query = select(day.c.begins, of_day).order_by(day.c.begins)
    return [
        (begins.date(), int(sums) % ONE_CHARGE, int(sums) // ONE_CHARGE)
        for begins, sums in session.execute(query)
    ]


def _days(session: Session, since: datetime, until: datetime) -> CTE:
    """Return the days as a table. A list of values would be compiled anew for each query."""
    day = select(
        literal(since, UtcTime).label("begins"), literal(since + DAY, UtcTime).label("ends")
    ).cte("day", recursive=True)
    following: ColumnElement[datetime] = (
        func.strftime("%Y-%m-%d 00:00:00.000000", day.c.ends, "+1 day", type_=UtcTime)
        if session.get_bind().dialect.name == "sqlite"  # which stores times as text in this format
        else type_coerce(day.c.ends + literal_column("interval '24 hours'"), UtcTime)
    )
    return day.union_all(select(day.c.ends, following).where(day.c.ends < until))


def _refunded(
    session: Session, account_id: str, since: datetime, until: datetime
) -> Sequence[tuple[date, int, int]]:
    """Return the seconds and splits of charges of a period that were refunded, by their day.

    Each of the few refunds looks its charge up.
    """
    charge, refund = aliased(Entry), aliased(Entry)
    sqlite = session.get_bind().dialect.name == "sqlite"  # where all times are stored in UTC
    moment = charge.created_at if sqlite else func.timezone("UTC", charge.created_at)
    day = func.date(moment, type_=Date)
    query = (
        select(day, func.sum(refund.seconds), func.count())
        .join(charge, and_(charge.split_id == refund.split_id, charge.kind == "charge"))
        .where(
            refund.account_id == account_id,
            refund.kind == "refund",
            refund.created_at >= since,
            charge.created_at >= since,
            charge.created_at < until,
        )
        .group_by(day)
    )
    return [(on, seconds, splits) for on, seconds, splits in session.execute(query)]
