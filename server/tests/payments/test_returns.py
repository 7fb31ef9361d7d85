"""Refunds and disputes: credits are withdrawn once, whatever the events' order."""

from __future__ import annotations

import json
from datetime import timedelta

import httpx2
import pytest
from sqlalchemy import select

from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import times
from aistemsplitter_server.payments import returns
from aistemsplitter_server.payments.interface import Reversal
from aistemsplitter_server.payments.tables import Purchase
from databases import only_sqlite
from fake_stripe import signed
from shop import Shop

PATH = "/payments/stripe"
FREE, PACK = 600, 50 * 60  # seconds; the pack costs 500


def bought(shop: Shop) -> str:
    """Buy a pack, and return its checkout."""
    reference = shop.buy().reference
    assert reference is not None
    shop.stripe.pay(reference)
    assert shop.buyer.balance == FREE + PACK
    return reference


def post(client: httpx2.Client, body: str) -> int:
    return client.post(PATH, content=body, headers=signed(body)).status_code


def recorded_in_audit_log(shop: Shop, action: str) -> list[dict[str, object]]:
    with shop.database.read() as session:
        query = select(AuditEntry).where(AuditEntry.action == action).order_by(AuditEntry.id)
        return [dict(entry.details) for entry in session.scalars(query)]


def test_refunds_withdraw_their_share_once(shop: Shop, client: httpx2.Client) -> None:
    reference = bought(shop)
    first = shop.stripe.refund(reference, 200)
    second = shop.stripe.refund(reference, 300)
    for body in (second, first, second):
        assert post(client, body) == 200
        assert shop.buyer.balance == FREE, "Stripe knows of both, whichever event comes first"
    assert recorded_in_audit_log(shop, "purchase.returned") == [
        {"amount": 500, "currency": "usd", "seconds": PACK}
    ]


def test_a_dispute_that_is_won_grants_the_credits_again(shop: Shop, client: httpx2.Client) -> None:
    reference = bought(shop)
    balances = []
    for status in ("warning_needs_response", "needs_response", "under_review", "won"):
        assert post(client, shop.stripe.dispute(reference, 500, status)) == 200
        balances.append(shop.buyer.balance - FREE)
    assert balances == [PACK, 0, 0, PACK]
    assert post(client, shop.stripe.refund(reference, 100)) == 200
    assert shop.buyer.balance == FREE + PACK * 4 // 5


def test_credits_that_are_spent(
    shop: Shop, client: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    reference = bought(shop)
    with shop.database.write() as session:
        credits.charge(session, shop.buyer.caller.account_id, "split_1", FREE + 1000)
    assert post(client, shop.stripe.dispute(reference, 500, "needs_response")) == 200
    assert shop.buyer.balance == 0
    assert "1000 of its 3000 seconds are spent" in caplog.text
    (details,) = recorded_in_audit_log(shop, "purchase.returned")
    assert (details["seconds"], details["missing_seconds"]) == (2000, 1000)
    assert post(client, shop.stripe.dispute(reference, 500, "won")) == 200
    assert shop.buyer.balance == 2000, "only what was withdrawn"


def test_a_dispute_that_is_won_beside_a_refund(shop: Shop, client: httpx2.Client) -> None:
    reference = bought(shop)
    assert post(client, shop.stripe.refund(reference, 200)) == 200
    with shop.database.write() as session:
        credits.charge(session, shop.buyer.caller.account_id, "split_1", FREE + 1300)
    assert post(client, shop.stripe.dispute(reference, 300, "needs_response")) == 200
    assert shop.buyer.balance == 0
    assert post(client, shop.stripe.dispute(reference, 300, "won")) == 200
    assert shop.buyer.balance == 500, "what was refunded stays withdrawn"


@pytest.mark.parametrize(
    ("seconds", "amount", "returned"),
    [(-1, 100, 500), (0, 100, 500), (0, 600, 500), (1, 100, 100)],
    ids=["older", "as old, less", "as old, more", "newer"],
)
def test_concurrent_events(shop: Shop, seconds: int, amount: int, returned: int) -> None:
    reference, now = shop.buy().reference or "", times.now()
    with shop.database.write() as session:
        made = session.scalars(select(Purchase)).one()
        made.state = "paid"
        credits.grant(session, made.account_id, PACK, "pack of 50 minutes")
    for event in (
        Reversal(reference, 500, now),
        Reversal(reference, amount, now + timedelta(seconds=seconds)),
    ):
        with shop.database.write() as session:
            returns.book(session, event)
    assert shop.buyer.balance == FREE + PACK * (500 - returned) // 500


@only_sqlite
def test_a_refund_that_is_reported_before_its_payment(shop: Shop, client: httpx2.Client) -> None:
    reference = shop.buy().reference or ""
    shop.stripe.loses_events = True
    shop.stripe.pay(reference)
    refunded = shop.stripe.refund(reference, 500)
    assert post(client, refunded) == 409
    assert post(client, shop.stripe.event(reference)) == 200
    assert post(client, refunded) == 200
    assert shop.buyer.balance == FREE


@only_sqlite
def test_other_business_of_the_same_stripe_account(shop: Shop, client: httpx2.Client) -> None:
    bought(shop)
    others = {"id": "ch_other", "object": "charge", "amount": 900, "amount_refunded": 900}
    shop.stripe.charges["ch_other"] = others | {"payment_intent": "pi_other"}
    shop.stripe.charges["ch_direct"] = others | {"id": "ch_direct", "payment_intent": None}
    for charge in ("ch_other", "ch_direct"):
        event = {"type": "charge.refunded", "created": 1, "data": {"object": {"id": charge}}}
        assert post(client, json.dumps(event)) == 200
    assert shop.buyer.balance == FREE + PACK


@only_sqlite
def test_stripe_is_away_while_a_refund_arrives(shop: Shop, client: httpx2.Client) -> None:
    reference = bought(shop)
    refunded = shop.stripe.refund(reference, 500)
    shop.stripe.fault = 400
    assert post(client, refunded) == 503
    shop.stripe.fault = None
    assert post(client, refunded) == 200
    assert shop.buyer.balance == FREE
