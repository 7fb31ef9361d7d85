"""Finding the accounts that have due rows, at a cost independent of the number of rows.

A table of work has an index over account and due time, partial on rows with a due time. Reading it
in order would first read all rows of a busy account. A skip scan goes from each account to the next
instead, with one lookup for each.
"""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Integer, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute, Session


class Waiting(NamedTuple):
    """An account with rows that have a due time; ``is_due`` if one of them has passed."""

    account_id: str
    is_due: bool


def accounts(
    session: Session,
    account: InstrumentedAttribute[str],
    due_at: InstrumentedAttribute[datetime | None],
    *,
    now: datetime,
    after: str,
    limit: int,
) -> list[Waiting]:
    """Return the accounts that have rows with a due time, in the order of their ids.

    Args:
        account: The column with the account's id.
        due_at: The column of the same table with the time when a row is due, or NULL.
        after: Return only accounts with larger ids.
        limit: Accounts to return at most.
    """
    first = select(func.min(account)).where(due_at.is_not(None), account > after)
    scan = select(
        first.scalar_subquery().label("account_id"), literal(1, Integer).label("number")
    ).cte("scan", recursive=True)
    following = select(func.min(account)).where(due_at.is_not(None), account > scan.c.account_id)
    scan = scan.union_all(
        select(following.scalar_subquery(), scan.c.number + 1).where(
            scan.c.account_id.is_not(None), scan.c.number < limit
        )
    )
    is_due = select(account).where(account == scan.c.account_id, due_at <= now).exists()
    query = select(scan.c.account_id, is_due).where(scan.c.account_id.is_not(None))
    return [Waiting(*row) for row in session.execute(query.order_by(scan.c.account_id))]
