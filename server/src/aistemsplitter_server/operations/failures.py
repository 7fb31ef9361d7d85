"""Splits that failed recently, and why. Splits that their owners cancelled are left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, or_, select
from sqlalchemy.orm import Session, aliased

from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.operations.throughput import CANCELED, DAY
from aistemsplitter_server.splits.tables import FAILED, Split

MONTH = timedelta(days=30)  # how far back failures are counted


@dataclass(frozen=True, slots=True)
class Reason:
    """The number of failures with one code in the last day and month, and the newest of them."""

    code: str
    in_day: int
    in_month: int
    newest: Split


def reasons(session: Session, now: datetime) -> Sequence[Reason]:
    """Return the failures by code, the most frequent first."""
    code = Split.error_code
    in_day = case((Split.finished_at >= now - DAY, 1), else_=0)
    newest_first = (Split.finished_at.desc(), Split.id.desc())
    counted = (
        select(
            code.label("code"),
            func.sum(in_day).over(partition_by=code).label("in_day"),
            func.count().over(partition_by=code).label("in_month"),
            Split.id,
            func.row_number().over(partition_by=code, order_by=newest_first).label("place"),
        )
        .where(_failed_since(now - MONTH))
        .subquery()
    )
    query = (
        select(counted.c.code, counted.c.in_day, counted.c.in_month, Split)
        .join(Split, Split.id == counted.c.id)
        .where(counted.c.place == 1)
        .order_by(counted.c.in_month.desc(), counted.c.code)
    )
    return [Reason(*row) for row in session.execute(query)]


def newest(
    session: Session, now: datetime, *, code: str | None, before: str | None, limit: int
) -> Sequence[tuple[Split, Account]]:
    """Return failed splits that ended before the split ``before``, newest first.

    Args:
        code: Return only failures with this code; None for all.
    """
    query = select(Split, Account).join(Account, Account.id == Split.account_id)
    query = query.where(_failed_since(now - MONTH))
    if code is not None:
        query = query.where(Split.error_code == code)
    if before is not None:
        query = query.where(_ended_before(before))
    query = query.order_by(Split.finished_at.desc(), Split.id.desc()).limit(limit)
    return [(split, account) for split, account in session.execute(query)]


def _failed_since(moment: datetime) -> ColumnElement[bool]:
    return and_(Split.status == FAILED, Split.finished_at >= moment, Split.error_code != CANCELED)


def _ended_before(split_id: str) -> ColumnElement[bool]:
    other = aliased(Split)
    ended = select(other.finished_at).where(other.id == split_id).scalar_subquery()
    return or_(Split.finished_at < ended, and_(Split.finished_at == ended, Split.id < split_id))
