"""The rules of buying packs. Nothing here commits; the caller's unit of work does.

A purchase is stored before its buyer is sent to pay, so that messages about it find it. They may
come twice, late, or at the same time. The transaction that locks the row and finds it pending
grants the credits; later ones find it paid and do nothing.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy.orm import Session

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import add_if_missing
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.payments import queries
from aistemsplitter_server.payments.interface import Payment
from aistemsplitter_server.payments.tables import Purchase

logger = logging.getLogger(__name__)

SAME_FORM = timedelta(minutes=10)  # in which the same form, sent again, means the same purchase


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack for sale. The price is in the currency's smallest unit; None if it is not sold."""

    minutes: int
    price: int | None


def packs(settings: Settings) -> list[Pack]:
    """Return all packs, with prices where they are sold."""
    sold = settings.stripe_secret_key is not None and settings.pack_prices
    prices = settings.pack_prices if sold else [None] * len(settings.pack_minutes)
    return [Pack(*each) for each in zip(settings.pack_minutes, prices, strict=True)]


def draft(
    settings: Settings, account_id: str, minutes: int, *, purchase_id: str | None = None
) -> Purchase:
    """Return a purchase without a checkout. It is not in the database yet.

    Args:
        purchase_id: An id made with the form, see ``is_usable``.

    Raises:
        NotFound: No such pack is sold.
    """
    price = {pack.minutes: pack.price for pack in packs(settings)}.get(minutes)
    if price is None:
        raise NotFound(f"There is no pack of {minutes} minutes for sale.")
    return Purchase(
        id=purchase_id or ids.new("pur"),
        account_id=account_id,
        minutes=minutes,
        amount=price,
        currency=settings.currency,
        state="pending",
        created_at=times.now(),
    )


def is_usable(session: Session, account_id: str, minutes: int, purchase_id: str) -> bool:
    """Return whether a form's id can be the id of its purchase.

    It can if no purchase has it, or if the same form was sent minutes ago and nothing was paid yet.
    Then it is the same purchase, and the provider returns the same checkout.
    """
    standing = session.get(Purchase, purchase_id)
    return standing is None or (
        (standing.account_id, standing.minutes, standing.state) == (account_id, minutes, "pending")
        and standing.created_at > times.now() - SAME_FORM
    )


def begin(session: Session, drafted: Purchase) -> bool:
    """Add a purchase with its checkout; return False if the same form was sent before."""
    return add_if_missing(
        session,
        Purchase,
        id=drafted.id,
        account_id=drafted.account_id,
        minutes=drafted.minutes,
        amount=drafted.amount,
        currency=drafted.currency,
        state=drafted.state,
        reference=drafted.reference,
        created_at=drafted.created_at,
    )


def purchase(session: Session, account_id: str, purchase_id: str) -> Purchase:
    """Return a purchase of the account.

    Raises:
        NotFound: The account has no such purchase.
    """
    found = queries.of_account(session, account_id, purchase_id)
    if found is None:
        raise NotFound("There is no such purchase.")
    return found


def settle(session: Session, payment: Payment) -> None:
    """Mark a purchase as paid and grant its credits, once.

    Payments of unknown checkouts are ignored: the provider's account may have other business.

    Raises:
        Conflict: The payment has another amount or currency, or is for another purchase.
    """
    bought = queries.locked(session, payment.reference)
    if bought is None:
        if (payment.purchase_id or "").startswith("pur_"):
            logger.warning("a payment for an unknown purchase: %s", payment)
        return
    paid = (payment.purchase_id, payment.amount, payment.currency)
    if paid != (bought.id, bought.amount, bought.currency):
        logger.error("a payment that does not match %s: %s", bought.id, payment)
        raise Conflict(f"The payment does not match {bought.id}; nothing was granted.")
    if bought.state == "paid":
        return
    bought.state, bought.paid_at = "paid", times.now()
    reason = f"pack of {bought.minutes} minutes, bought as {bought.id}"
    credits.grant(session, bought.account_id, bought.minutes * 60, reason)
    audit.record(
        session,
        bought.account_id,
        audit.PAYMENT_PROVIDER,
        Action.PURCHASE_PAID,
        bought.id,
        minutes=bought.minutes,
        amount=bought.amount,
        currency=bought.currency,
    )
