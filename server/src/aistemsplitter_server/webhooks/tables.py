"""The tables of events, deliveries, endpoints and receivers."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, get_args

from sqlalchemy import JSON, CheckConstraint, ForeignKey, Index, false, literal_column, text
from sqlalchemy.orm import Mapped, mapped_column

from aistemsplitter_server.accounts.tables import Signer
from aistemsplitter_server.kit.database import Base, UtcTime, partial_index

EventType = Literal["split.succeeded", "split.failed"]
EVENT_TYPES: tuple[EventType, ...] = get_args(EventType)


class Event(Base):
    """The end of a split, as an event. There is one for each split.

    A test event has a sample split, whose id is of no real one.
    """

    __tablename__ = "events"
    __table_args__ = (Index("ix_events_account_id_is_test_id", "account_id", "is_test", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    key_id: Mapped[str]  # whose webhook secret signs deliveries to the split's own URL
    is_test: Mapped[bool] = mapped_column(server_default=false(), default=False)
    split_id: Mapped[str] = mapped_column(unique=True)
    type: Mapped[str]
    test: Mapped[bool] = mapped_column(server_default=false(), default=False)
    created_at: Mapped[datetime] = mapped_column(UtcTime)


class Delivery(Base):
    """A delivery of an event, or of a stem of its split, to one URL. A replay is another one.

    A pending delivery always has a ``next_attempt_at``. During an attempt it is the time of the
    next one, should this one have no outcome.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        CheckConstraint("state IN ('pending', 'delivered', 'failed')", name="state"),
        Index("ix_deliveries_account_id_id", "account_id", "id"),
        Index("ix_deliveries_account_id_is_test_id", "account_id", "is_test", "id"),
        Index("ix_deliveries_state_next_attempt_at", "state", "next_attempt_at"),
        # The queue of attempts: only pending deliveries have a time for the next one.
        Index(
            "ix_deliveries_account_id_next_attempt_at",
            "account_id",
            "next_attempt_at",
            sqlite_where=text("next_attempt_at IS NOT NULL"),
            postgresql_where=text("next_attempt_at IS NOT NULL"),
        ),
        # Most deliveries succeed. These find the others without reading those.
        partial_index(
            "ix_deliveries_undelivered", ["account_id", "state", "id"], "state != 'delivered'"
        ),
        # SQLite takes the second one for the first column's sake.
        partial_index("ix_deliveries_failed", ["state", "finished_at"], "state = 'failed'"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    event_id: Mapped[str] = mapped_column(ForeignKey("events.id"), index=True)
    endpoint_id: Mapped[str | None]  # which may be deleted by now; None for the split's own URL
    url: Mapped[str]
    stem: Mapped[str | None]  # None for the event itself
    headers: Mapped[dict[str, Any] | None] = mapped_column(JSON)  # of a stem's request
    is_test: Mapped[bool] = mapped_column(server_default=false(), default=False)
    state: Mapped[str]
    attempts: Mapped[int]
    reason: Mapped[str | None]  # why it failed
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcTime)
    finished_at: Mapped[datetime | None] = mapped_column(UtcTime)


# Literals, since a database cannot tell that a parameter matches a partial index's condition.
IS_FAILED = Delivery.state == literal_column("'failed'")
IS_UNDELIVERED = Delivery.state != literal_column("'delivered'")


class Attempt(Base):
    """An attempt to deliver: the receiver's response, or why there was none."""

    __tablename__ = "delivery_attempts"

    delivery_id: Mapped[str] = mapped_column(ForeignKey("deliveries.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    started_at: Mapped[datetime] = mapped_column(UtcTime)
    status: Mapped[int | None]
    latency_seconds: Mapped[float | None]
    excerpt: Mapped[str | None]  # the first 2 kB of the response
    error: Mapped[str | None]
    next_attempt_at: Mapped[datetime | None] = mapped_column(UtcTime)


class Failing:
    """Columns for since when deliveries to a receiver have failed, and why it is disabled."""

    failing_since: Mapped[datetime | None] = mapped_column(UtcTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcTime)
    disabled_reason: Mapped[str | None]


class Endpoint(Signer, Failing, Base):
    """A URL that receives all events of an account's splits of one mode, live or test."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (
        Index("ix_webhook_endpoints_account_id_is_test_id", "account_id", "is_test", "id"),
        partial_index(
            "ix_webhook_endpoints_previous_secret_until",
            ["previous_secret_until"],
            "previous_secret_until IS NOT NULL",
        ),
    )

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"))
    is_test: Mapped[bool]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(JSON)  # types of events
    description: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(UtcTime)
    updated_at: Mapped[datetime] = mapped_column(UtcTime)


class Receiver(Failing, Base):
    """The URL of splits that receives their events, in one account."""

    __tablename__ = "webhook_receivers"

    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id"), primary_key=True)
    url: Mapped[str] = mapped_column(primary_key=True)
    used_at: Mapped[datetime | None] = mapped_column(UtcTime, index=True)  # by a delivery
