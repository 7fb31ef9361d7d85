"""A service that sells packs, and a buyer."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from sqlalchemy import func, select

from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.payments import service
from aistemsplitter_server.payments.configured import configured
from aistemsplitter_server.payments.interface import Payments
from aistemsplitter_server.payments.tables import Purchase
from customers import Customer
from fake_stripe import FakeStripe


@dataclass(frozen=True)
class Shop:
    """A service that sells packs, and a buyer with 600 seconds."""

    settings: Settings
    database: Database
    stripe: FakeStripe
    buyer: Customer

    @cached_property
    def payments(self) -> Payments:
        """The service's client of Stripe."""
        found = configured(self.settings)
        assert found is not None
        return found

    def buy(self, minutes: int = 50) -> Purchase:
        """Start a purchase, up to the page where it is paid."""
        bought = service.draft(self.settings, self.buyer.caller.account_id, minutes)
        page = self.payments.checkout(bought, "A pack", "http://there/", "http://back/")
        bought.reference = page.reference
        with self.database.write() as session:
            session.add(bought)
        return bought

    @property
    def grants(self) -> int:
        """Number of granted packs."""
        query = select(func.count()).where(Entry.reason.startswith("pack of"))
        with self.database.read() as session:
            return session.scalars(query).one()

    def state(self, bought: Purchase) -> str:
        """Return a purchase's state in the database."""
        with self.database.read() as session:
            return session.get_one(Purchase, bought.id).state
