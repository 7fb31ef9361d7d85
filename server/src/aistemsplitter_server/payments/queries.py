"""Queries on purchases."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.payments.tables import Purchase


def of_account(session: Session, account_id: str, purchase_id: str) -> Purchase | None:
    """Return a purchase of the account."""
    query = select(Purchase).where(Purchase.account_id == account_id, Purchase.id == purchase_id)
    return session.scalars(query).one_or_none()


def locked(session: Session, reference: str) -> Purchase | None:
    """Return the purchase of a checkout, of any account, locked until the transaction ends."""
    query = select(Purchase).where(Purchase.reference == reference).with_for_update()
    return session.scalars(query).one_or_none()
