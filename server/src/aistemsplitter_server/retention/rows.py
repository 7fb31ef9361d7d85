"""Rows that are deleted after their retention time.

Ids sort by time, so "created before" is a range of the primary key and needs no further index. Only
few rows stay in that range because of another condition.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, inspect, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from aistemsplitter_server.accounts.sign_ins import IDLE
from aistemsplitter_server.accounts.tables import Link, SignIn
from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.database import Base
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.payments.tables import Purchase
from aistemsplitter_server.splits import idempotency
from aistemsplitter_server.splits.tables import IdempotencyKey, Listening, Share, Split
from aistemsplitter_server.uploads.tables import Upload
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Event, Receiver

Key = tuple[Any, ...]  # a primary key


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a table that are deleted after their retention time.

    Attributes:
        name: The sweep's name, in metrics and on the operator's page.
        expired: Returns the condition for expired rows at a time.
        parts: Columns of other tables that refer to the primary key; their rows are deleted too.
    """

    name: str
    table: type[Base]
    expired: Callable[[Settings, datetime], ColumnElement[bool]]
    parts: Sequence[InstrumentedAttribute[str]] = ()

    def find(self, settings: Settings, session: Session, now: datetime, limit: int) -> list[Key]:
        """Return the primary keys of at most ``limit`` expired rows."""
        return [tuple(row) for row in session.execute(self.select(settings, now).limit(limit))]

    def delete(
        self, settings: Settings, session: Session, now: datetime, keys: Sequence[Key]
    ) -> int:
        """Delete those of the rows that are still expired; return their number."""
        columns = inspect(self.table).primary_key
        still = self.select(settings, now).where(tuple_(*columns).in_(keys)).with_for_update()
        expired = [tuple(row) for row in session.execute(still)]
        if not expired:
            return 0
        for part in self.parts:
            session.execute(delete(part.class_).where(part.in_([key[0] for key in expired])))
        gone = delete(self.table).where(tuple_(*columns).in_(expired))
        session.execute(gone, execution_options={"synchronize_session": False})
        return len(expired)

    def select(self, settings: Settings, now: datetime) -> Select[Any]:
        """Select the primary keys of the expired rows."""
        return select(*inspect(self.table).primary_key).where(self.expired(settings, now))


def _sessions(settings: Settings, now: datetime) -> ColumnElement[bool]:
    before = now - timedelta(days=settings.session_retention_days)
    return or_(SignIn.expires_at < before, SignIn.seen_at < before - IDLE)


def _deliveries(settings: Settings, now: datetime) -> ColumnElement[bool]:
    before = now - timedelta(days=settings.delivery_retention_days)
    return (Delivery.id < ids.first("dlv", before)) & (Delivery.finished_at < before)


def _events(settings: Settings, now: datetime) -> ColumnElement[bool]:
    days = max(settings.event_retention_days, settings.delivery_retention_days)
    made = Event.id < ids.first("evt", now - timedelta(days=days))
    return made & ~exists().where(Delivery.event_id == Event.id)


def _uploads(settings: Settings, now: datetime) -> ColumnElement[bool]:
    before = now - timedelta(days=settings.upload_retention_days)
    return (Upload.id < ids.first("upl", before)) & (Upload.swept_at < before)


def _listening(settings: Settings, now: datetime) -> ColumnElement[bool]:
    before = now - timedelta(days=settings.listening_retention_days)
    made = before - timedelta(hours=settings.retention_hours)
    swept = exists().where(Split.id == Listening.split_id, Split.swept_at < before)
    return (Listening.split_id < ids.first("split", made)) & swept


def _shares(settings: Settings, now: datetime) -> ColumnElement[bool]:
    before = now - timedelta(days=settings.share_retention_days)
    return (Share.id < ids.first("shr", before)) & (Share.expires_at < before)


def _links(settings: Settings, now: datetime) -> ColumnElement[bool]:
    before = now - timedelta(days=settings.link_retention_days)
    return (Link.id < ids.first("lnk", before)) & (Link.expires_at < before)


def _receivers(settings: Settings, now: datetime) -> ColumnElement[bool]:
    return Receiver.used_at < now - timedelta(days=settings.receiver_retention_days)


def _purchases(settings: Settings, now: datetime) -> ColumnElement[bool]:
    before = now - timedelta(days=settings.purchase_retention_days)
    return (Purchase.state == "pending") & (Purchase.id < ids.first("pur", before))


def _audit(settings: Settings, now: datetime) -> ColumnElement[bool]:
    return AuditEntry.id < ids.first("aud", now - timedelta(days=settings.audit_retention_days))


def _idempotency(_settings: Settings, now: datetime) -> ColumnElement[bool]:
    return IdempotencyKey.created_at < now - idempotency.KEPT


# Referring tables come first.
ROWS = (
    Rows("idempotency", IdempotencyKey, _idempotency),
    Rows("sessions", SignIn, _sessions),
    Rows("deliveries", Delivery, _deliveries, parts=(Attempt.delivery_id,)),
    Rows("events", Event, _events),
    Rows("upload_rows", Upload, _uploads),
    Rows("listening", Listening, _listening),
    Rows("shares", Share, _shares),
    Rows("links", Link, _links),
    Rows("receivers", Receiver, _receivers),
    Rows("purchases", Purchase, _purchases),
    Rows("audit", AuditEntry, _audit),
)
