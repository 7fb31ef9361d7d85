"""Expired rows that still exist, long after a sweep should have deleted them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, literal, select, union_all
from sqlalchemy.orm import InstrumentedAttribute

from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.retention.rows import ROWS
from aistemsplitter_server.splits import deletion_queries
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.uploads import queries as uploads
from aistemsplitter_server.uploads.tables import Upload

MARGIN = timedelta(minutes=30)  # after expiry; sweeps run every minute or every ten minutes
LONGEST_DELIVERY = timedelta(days=3)  # an erasure waits for the deliveries of its split
MOST = 1_000  # rows of one kind that are counted

# Rows that are marked instead of deleted, by the name of their sweep.
MARKED: dict[str, tuple[InstrumentedAttribute[str], Callable[[datetime], ColumnElement[bool]]]] = {
    "stems": (Split.id, deletion_queries.expired),
    "erasures": (
        Split.id,
        lambda now: (
            Split.deleted_at.is_not(None)
            & Split.erased_at.is_(None)
            & (Split.deleted_at < now - LONGEST_DELIVERY)
        ),
    ),
    "expired_uploads": (Upload.id, uploads.expired),
    "uploads": (
        Upload.id,
        lambda now: (
            Upload.deleted_at.is_not(None) & Upload.swept_at.is_(None) & (Upload.deleted_at < now)
        ),
    ),
}


def counts(connection: Connection, settings: Settings, now: datetime) -> dict[str, int]:
    """Count the rows that should be deleted, by the name of the sweep that should have done it.

    Each count stops at ``MOST``.
    """
    moment = now - MARGIN
    some: dict[str, Any] = {
        name: select(column).where(expired(moment)) for name, (column, expired) in MARKED.items()
    }
    some |= {each.name: each.select(settings, moment) for each in ROWS}
    query = union_all(
        *(
            select(
                literal(name).label("name"),
                select(func.count())
                .select_from(rows.limit(MOST).subquery())
                .scalar_subquery()
                .label("number"),
            )
            for name, rows in some.items()
        )
    )
    return {row.name: row.number for row in connection.execute(query)}
