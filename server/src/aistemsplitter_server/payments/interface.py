"""The interface of a payment provider. No other module knows which provider it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from aistemsplitter_server.payments.tables import Purchase


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page of the provider where one purchase is paid.

    Attributes:
        reference: The provider's id of the page.
        url: Where to send the buyer's browser.
    """

    reference: str
    url: str


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment that was received.

    Attributes:
        reference: The checkout that was paid.
        purchase_id: The purchase of that checkout; None, or not one of ours, where the provider's
            account has other business too.
        amount: In the currency's smallest unit.
        currency: Three lower-case letters.
    """

    reference: str
    purchase_id: str | None
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Reversal:
    """The amount of a payment that was returned to its buyer, by refunds and disputes.

    Attributes:
        reference: The checkout that was paid.
        amount: In the currency's smallest unit; less than before if a dispute was won.
        moment: When the provider's message was made. The amount is at least as recent.
    """

    reference: str
    amount: int
    moment: datetime


class Payments(Protocol):
    """A payment provider. Its methods use the network, so call them outside transactions."""

    checkout_origin: str
    """The origin of its pages for buyers, to which our forms must be allowed to redirect."""

    def checkout(
        self, purchase: Purchase, title: str, success_url: str, cancel_url: str
    ) -> Checkout:
        """Return the page where a purchase is paid. For the same purchase it is the same page.

        Args:
            title: What is bought, in the buyer's language.
            success_url: Where the provider sends buyers who have paid.
            cancel_url: Where the provider sends buyers who have cancelled.

        Raises:
            Unavailable: The provider cannot be reached, or refuses.
        """

    def look_up(self, reference: str) -> Payment | None:
        """Return the payment of a checkout; None if it is not paid.

        Raises:
            Unavailable: The provider cannot be reached, or refuses.
        """

    def receive(self, body: bytes, signature: str | None) -> Payment | Reversal | None:
        """Verify a message from the provider and return what it reports, if that concerns us.

        Args:
            body: The exact bytes that were received.
            signature: The header that proves the sender.

        Raises:
            BadRequest: The message is not from the provider, or is too old.
            Unavailable: The provider cannot be asked for details.
        """
