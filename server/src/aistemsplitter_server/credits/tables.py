"""Tables of the ledger."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.kit.database import Base, UtcTime


class Reservation(Base):
    """Credits reserved for a split whose price is not known yet. No other charge can use them."""

    __tablename__ = "credit_reservations"

    split_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), index=True)
    seconds: Mapped[int]


class Entry(Base):
    """An entry of the ledger. Entries are only ever added.

    ``number`` counts an account's entries from 1, and ``balance`` is the sum up to this one. Two
    transactions that add an entry at the same time would use the same number, which the table
    refuses. So the balance is always the sum and never below zero, whatever the code does.
    """

    __tablename__ = "credit_entries"
    __table_args__ = (
        UniqueConstraint("account_id", "number"),
        # The usage by day is read from this index alone.
        Index("ix_credit_entries_by_time", "account_id", "kind", "created_at", "seconds"),
        # one charge and one refund per split; the other kinds have no split
        UniqueConstraint("split_id", "kind"),
        CheckConstraint("balance >= 0", name="balance_not_negative"),
        CheckConstraint(
            "(kind = 'grant' AND seconds > 0 AND split_id IS NULL)"
            " OR (kind = 'withdrawal' AND seconds < 0 AND split_id IS NULL)"
            " OR (kind = 'charge' AND seconds < 0 AND split_id IS NOT NULL)"
            " OR (kind = 'refund' AND seconds > 0 AND split_id IS NOT NULL)",
            name="kind",
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    number: Mapped[int]
    kind: Mapped[str]
    seconds: Mapped[int]
    balance: Mapped[int]
    split_id: Mapped[str | None]
    reason: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class Total(Base):
    """Seconds of an account's entries of one kind so far.

    Updated in the transaction of each entry, so that metrics need not sum up the whole ledger.
    """

    __tablename__ = "credit_totals"

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    seconds: Mapped[int] = mapped_column(BigInteger)
