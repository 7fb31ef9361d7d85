"""Payments by Stripe Checkout. The library is an extra, imported when it is first needed."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from aistemsplitter_server.kit.errors import BadRequest, Unavailable
from aistemsplitter_server.payments.interface import Checkout, Payment, Reversal
from aistemsplitter_server.payments.tables import Purchase

if TYPE_CHECKING:
    from stripe import StripeClient, StripeError

logger = logging.getLogger(__name__)

CHECKOUT_ORIGINS = {"https://api.stripe.com": "https://checkout.stripe.com"}
# seconds to connect and to wait for a response; the buyer sees a blank page meanwhile
TIMEOUT = (4.0, 10.0)
RETRIES = 1
# seconds between an event's signature and its arrival; Stripe signs every attempt anew
OLDEST = 300
# Cards are paid at once, bank transfers days later. Either event can report the payment.
PAID_BY = ("checkout.session.completed", "checkout.session.async_payment_succeeded")
RETURNED_BY = (
    "charge.refunded",
    "charge.refund.updated",  # a refund that failed
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
)
# States of a dispute in which its amount is with the buyer's bank.
DISPUTED = ("needs_response", "under_review", "lost")


class StripePayments:
    """See ``Payments``."""

    def __init__(self, secret_key: str, webhook_secret: str, api_url: str) -> None:
        self.checkout_origin = CHECKOUT_ORIGINS.get(api_url, api_url)
        self._secret_key = secret_key
        self._webhook_secret = webhook_secret
        self._api_url = api_url

    @cached_property
    def _client(self) -> StripeClient:
        from stripe import RequestsClient, StripeClient

        return StripeClient(
            self._secret_key,
            base_addresses={"api": self._api_url},
            max_network_retries=RETRIES,
            http_client=RequestsClient(timeout=TIMEOUT),
        )

    def checkout(
        self, purchase: Purchase, title: str, success_url: str, cancel_url: str
    ) -> Checkout:
        """See ``Payments``."""
        from stripe import StripeError

        try:
            session = self._client.v1.checkout.sessions.create(
                {
                    "mode": "payment",
                    "client_reference_id": purchase.id,
                    "line_items": [
                        {
                            "quantity": 1,
                            "price_data": {
                                "currency": purchase.currency,
                                "unit_amount": purchase.amount,
                                "product_data": {"name": title},
                            },
                        }
                    ],
                    # Otherwise Stripe may charge another currency, and the amounts would not match
                    # ours.
                    "adaptive_pricing": {"enabled": False},
                    "success_url": success_url,
                    "cancel_url": cancel_url,
                },
                {"idempotency_key": purchase.id},
            )
        except StripeError as error:
            raise _away(error) from None
        if session.url is None:
            raise _away(None)
        return Checkout(session.id, session.url)

    def look_up(self, reference: str) -> Payment | None:
        """See ``Payments``."""
        from stripe import StripeError

        try:
            session = self._client.v1.checkout.sessions.retrieve(reference)
        except StripeError as error:
            raise _away(error) from None
        return _payment(session.to_dict())

    def receive(self, body: bytes, signature: str | None) -> Payment | Reversal | None:
        """See ``Payments``."""
        from stripe import SignatureVerificationError, WebhookSignature

        try:
            WebhookSignature.verify_header(body, signature, self._webhook_secret, OLDEST)
        # The library compares strings, and fails on bytes that are not UTF-8 or ASCII.
        except (SignatureVerificationError, UnicodeDecodeError, TypeError) as error:
            raise BadRequest("The Stripe-Signature is invalid or too old.") from error
        event = json.loads(body)
        about = event["data"]["object"]
        if event["type"] in PAID_BY:
            return _payment(about)
        if event["type"] in RETURNED_BY:
            moment = datetime.fromtimestamp(event["created"], UTC)
            return self._reversal(about.get("charge") or about["id"], moment)
        return None

    def _reversal(self, charge_id: str, moment: datetime) -> Reversal | None:
        """Ask for the current state, as events come in any order."""
        from stripe import StripeError

        v1 = self._client.v1
        try:
            charge = v1.charges.retrieve(charge_id)
            if charge.payment_intent is None:
                return None
            payment = str(charge.payment_intent)
            sessions = v1.checkout.sessions.list({"payment_intent": payment, "limit": 1}).data
            disputes = v1.disputes.list({"charge": charge_id, "limit": 100}).data
        except StripeError as error:
            raise _away(error) from None
        if not sessions:
            return None
        disputed = sum(each.amount for each in disputes if each.status in DISPUTED)
        return Reversal(sessions[0].id, charge.amount_refunded + disputed, moment)


def _payment(session: dict[str, Any]) -> Payment | None:
    """Return the payment of a checkout session; None until it is paid."""
    if session["payment_status"] != "paid":
        return None
    return Payment(
        reference=session["id"],
        purchase_id=session["client_reference_id"],
        amount=session["amount_total"],
        currency=session["currency"],
    )


def _away(error: StripeError | None) -> Unavailable:
    """Return the error for the buyer; log Stripe's own message for the operator."""
    logger.error("Stripe cannot be used: %s", error or "no page to pay on")
    return Unavailable("The payment service cannot be reached; nothing was paid.")
