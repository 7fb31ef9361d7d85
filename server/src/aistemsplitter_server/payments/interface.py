"""What takes payments, behind one small interface: nobody else knows the provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aistemsplitter_server.payments.tables import Purchase


@dataclass(frozen=True, slots=True)
class Checkout:
    """A page of the provider's where one purchase is paid.

    Attributes:
        reference: what the provider calls it.
        url: where the buyer's browser goes.
    """

    reference: str
    url: str


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that has come in, as the provider tells it.

    Attributes:
        reference: that of the checkout.
        purchase_id: whose checkout it was; None or not ours where the provider's account has
            other business, too.
        amount: in the currency's smallest unit.
        currency: its three letters, small.
    """

    reference: str
    purchase_id: str | None
    amount: int
    currency: str


class Payments(Protocol):
    """A provider. Its methods wait for the network, so they are called outside transactions."""

    checkout_origin: str
    """Where its pages for buyers are, to which our forms must be allowed to lead."""

    def checkout(
        self, purchase: Purchase, title: str, success_url: str, cancel_url: str
    ) -> Checkout:
        """A page where the purchase is paid; asked again for the same one, the same page.

        Args:
            title: what is bought, in the buyer's language.
            success_url: where the provider sends the buyer who has paid.
            cancel_url: and the one who would rather not.

        Raises:
            Unavailable: the provider is away, or refuses.
        """

    def look_up(self, reference: str) -> Payment | None:
        """The payment of a checkout; None while there is none.

        Raises:
            Unavailable: the provider is away, or refuses.
        """

    def receive(self, body: bytes, signature: str | None) -> Payment | None:
        """The payment that the provider's message tells of; None if it tells of something else.

        Args:
            body: as it came, to the byte.
            signature: the header that proves who sent it.

        Raises:
            BadRequest: it is not the provider's, or too old.
        """
