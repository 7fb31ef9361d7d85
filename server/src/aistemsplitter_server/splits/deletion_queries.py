"""Queries on splits that expire, and on what is deleted of them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, select, tuple_, update
from sqlalchemy.orm import Session

from aistemsplitter_server.splits.tables import SUCCEEDED, PlayerState, Share, Split
from aistemsplitter_server.webhooks.tables import Delivery, Event


def expired(now: datetime) -> ColumnElement[bool]:
    """Select splits whose audio has expired and is not deleted yet."""
    return and_(Split.swept_at.is_(None), Split.expires_at <= now)


def count_expiring(
    session: Session, account_id: str, now: datetime, before: datetime, limit: int
) -> int:
    """Return how many splits of the account expire before a time, counting up to a limit."""
    found = _expiring(account_id, now, before, limit).with_only_columns(Split.expires_at).subquery()
    return session.scalars(select(func.count()).select_from(found)).one()


def expiring_locked(
    session: Session, account_id: str, now: datetime, before: datetime, limit: int
) -> Sequence[Split]:
    """Return splits of the account that expire before a time, the next one first, locked."""
    return session.scalars(_expiring(account_id, now, before, limit).with_for_update()).all()


def _expiring(account_id: str, now: datetime, before: datetime, limit: int) -> Select[Split]:
    """Select splits of the account whose audio is deleted before a time, the next one first."""
    query = select(Split).where(
        Split.account_id == account_id,
        Split.status == SUCCEEDED,
        Split.swept_at.is_(None),
        Split.deleted_at.is_(None),
        Split.expires_at > now,
        Split.expires_at < before,
    )
    return query.order_by(Split.expires_at).limit(limit)


def expired_after(
    session: Session, now: datetime, after: tuple[datetime, str] | None, limit: int
) -> Sequence[tuple[datetime, str]]:
    """Return expiry and id of splits whose audio has expired, in this order."""
    query = select(Split.expires_at, Split.id).where(expired(now))
    if after is not None:
        query = query.where(tuple_(Split.expires_at, Split.id) > tuple_(*after))
    rows = session.execute(query.order_by(Split.expires_at, Split.id).limit(limit))
    return [(expires_at, split_id) for expires_at, split_id in rows if expires_at is not None]


def set_swept(session: Session, split_ids: Sequence[str], now: datetime) -> None:
    """Note that the audio of splits is deleted, and forget what was set in their players."""
    session.execute(delete(PlayerState).where(PlayerState.split_id.in_(split_ids)))
    session.execute(update(Split).where(Split.id.in_(split_ids)).values(swept_at=now))


def unerased_locked(session: Session, limit: int) -> Sequence[Split]:
    """Return deleted splits with something left to erase, locked; not with a pending delivery."""
    pending = exists().where(
        Event.split_id == Split.id, Delivery.event_id == Event.id, Delivery.finished_at.is_(None)
    )
    query = select(Split).where(Split.deleted_at.is_not(None), Split.erased_at.is_(None), ~pending)
    query = query.order_by(Split.deleted_at).limit(limit)
    return session.scalars(query.with_for_update(skip_locked=True)).all()


def delete_shares(session: Session, split_id: str) -> None:
    """Delete the share links of a split."""
    session.execute(delete(Share).where(Share.split_id == split_id))


def delete_player_states(session: Session, split_id: str) -> None:
    """Delete what people have set in the player of a split."""
    session.execute(delete(PlayerState).where(PlayerState.split_id == split_id))
