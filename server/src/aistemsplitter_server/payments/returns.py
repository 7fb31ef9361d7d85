"""Payments that buyers get back, by a refund or a dispute: their credits are withdrawn.

Nothing here commits; the caller's unit of work does. Messages may come twice, late, or at the same
time, so each names how much of a payment was returned in all, and only the difference is booked.
"""

from __future__ import annotations

import logging

from sqlalchemy.orm import Session

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit.errors import Conflict
from aistemsplitter_server.payments import queries
from aistemsplitter_server.payments.interface import Reversal
from aistemsplitter_server.payments.tables import Purchase

logger = logging.getLogger(__name__)


def book(session: Session, reversal: Reversal) -> None:
    """Withdraw the credits of what was returned, as far as the balance covers them.

    If a dispute is won, the credits that were withdrawn for it are granted again. Reversals of
    unknown checkouts are ignored: the provider's account may have other business.

    Raises:
        Conflict: The payment itself is not known yet. The provider sends the message again.
    """
    bought = queries.locked(session, reversal.reference)
    if bought is None:
        return
    if bought.state != "paid":
        raise Conflict(f"The payment of {bought.id} is not known yet; send this event again later.")
    before, now = bought.returned_amount, min(reversal.amount, bought.amount)
    if now == before or _is_outdated(bought, reversal):
        return
    due = _seconds(bought, now) - _seconds(bought, before)
    if due > 0:
        moved = _withdraw(session, bought, due)
    else:
        moved = _grant_again(session, bought, -due, still_due=_seconds(bought, now))
    bought.returned_amount, bought.returned_at = now, reversal.moment
    audit.record(
        session,
        bought.account_id,
        audit.PAYMENT_PROVIDER,
        Action.PURCHASE_RETURNED if due > 0 else Action.PURCHASE_REINSTATED,
        bought.id,
        amount=abs(now - before),
        currency=bought.currency,
        seconds=moved,
        missing_seconds=abs(due) - moved or None,
    )


def _is_outdated(bought: Purchase, reversal: Reversal) -> bool:
    """Return whether a more recent message was already processed."""
    if bought.returned_at is None or reversal.moment > bought.returned_at:
        return False
    return reversal.moment < bought.returned_at or reversal.amount < bought.returned_amount


def _seconds(bought: Purchase, amount: int) -> int:
    return bought.minutes * 60 * amount // bought.amount


def _withdraw(session: Session, bought: Purchase, due: int) -> int:
    """Withdraw at most ``due`` seconds; return how many."""
    seconds = min(due, credits.locked_balance(session, bought.account_id))
    if seconds < due:
        logger.warning(
            "the payment of %s was returned, but %d of its %d seconds are spent",
            bought.id,
            due - seconds,
            due,
        )
    if seconds:
        reason = f"payment of {bought.id} returned"
        credits.withdraw(session, bought.account_id, seconds, reason)
        bought.withdrawn_seconds += seconds
    return seconds


def _grant_again(session: Session, bought: Purchase, due: int, *, still_due: int) -> int:
    """Grant at most ``due`` of the seconds that were withdrawn; return how many.

    Args:
        still_due: Seconds of what remains returned, such as by a refund beside the dispute.
    """
    seconds = max(0, min(due, bought.withdrawn_seconds - still_due))
    if seconds:
        reason = f"payment of {bought.id} reinstated"
        credits.grant(session, bought.account_id, seconds, reason)
        bought.withdrawn_seconds -= seconds
    return seconds
