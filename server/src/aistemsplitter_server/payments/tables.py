"""The table of purchases."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime

PENDING = "state = 'pending'"


class Purchase(Base):
    """A purchase of a pack: pending until the provider reports the payment.

    Attributes:
        returned_amount: The part of ``amount`` that was returned, by refunds and disputes.
        withdrawn_seconds: Credits that were withdrawn for it; less where the balance was too low.
        returned_at: The time of the newest message about that.
    """

    __tablename__ = "purchases"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'paid')", name="state"),
        Index(
            "ix_purchases_pending", "id", sqlite_where=text(PENDING), postgresql_where=text(PENDING)
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    minutes: Mapped[int]
    amount: Mapped[int]  # in the currency's smallest unit
    currency: Mapped[str]
    state: Mapped[str]
    reference: Mapped[str | None] = mapped_column(unique=True)  # the provider's id of the checkout
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    paid_at: Mapped[datetime | None] = mapped_column(UtcTime)
    returned_amount: Mapped[int] = mapped_column(server_default="0")
    withdrawn_seconds: Mapped[int] = mapped_column(server_default="0")
    returned_at: Mapped[datetime | None] = mapped_column(UtcTime)
