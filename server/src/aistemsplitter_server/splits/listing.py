"""Lists of splits by status, time, model and metadata."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Select, String, column, exists, func, literal, select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import ids
from aistemsplitter_server.models.catalogue import NAMES, Model
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.tables import Split

READ = 5_000  # splits that a page reads at most to find those of a model or with metadata
MARGIN = timedelta(minutes=1)  # that a split's id may be older or newer than its creation
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
LATEST = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Filters:
    """The splits to list. None and an empty mapping stand for all.

    Attributes:
        created_after: The earliest time of creation.
        created_before: The first time of creation that is too late.
        model: The model that was requested, by any of its names.
        metadata: Values that a split must have, by their keys.
    """

    status: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    model: Model | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)


def page(
    session: Session,
    account_id: str,
    filters: Filters,
    *,
    is_test: bool,
    before: str | None,
    limit: int,
) -> tuple[Sequence[Split], str | None]:
    """Return splits of the account, of one mode, newest first.

    Times and status are looked up in an index. Model and metadata are compared with a bounded
    number of splits, so the cost of a page does not grow with the account.

    Args:
        before: Return only splits with smaller ids.

    Returns:
        The splits, and the id to continue before; None if no older split is left.
    """
    newest_first = _newest_first(account_id, filters, is_test=is_test, before=before)
    conditions = _conditions(session, filters)
    most = READ if conditions else None
    return queries.matching(session, newest_first, conditions, most=most, limit=limit)


def _newest_first(
    account_id: str, filters: Filters, *, is_test: bool, before: str | None
) -> Select[Split]:
    """Select by what an index can look up; ids sort by time."""
    query = select(Split).where(Split.account_id == account_id, Split.is_test == is_test)
    if before is not None:
        query = query.where(Split.id < before)
    if filters.status is not None:  # its index has no deleted splits
        query = query.where(Split.status == filters.status, Split.deleted_at.is_(None))
    if filters.created_after is not None:
        after = min(max(filters.created_after, EARLIEST), LATEST)
        query = query.where(Split.id >= ids.first("split", after - MARGIN))
        query = query.where(Split.created_at >= after)
    if filters.created_before is not None:
        until = min(max(filters.created_before, EARLIEST), LATEST)
        query = query.where(Split.id < ids.first("split", until + MARGIN))
        query = query.where(Split.created_at < until)
    return query.order_by(Split.id.desc())


def _conditions(session: Session, filters: Filters) -> list[ColumnElement[bool]]:
    """Return the conditions that have to be checked on each split."""
    conditions: list[ColumnElement[bool]] = []
    if filters.model is not None:
        names = [name for name, model in NAMES.items() if model is filters.model]
        conditions.append(Split.stem_model.in_(names))
    sqlite = session.get_bind().dialect.name == "sqlite"
    rows_of = func.json_each if sqlite else func.json_each_text
    for key, value in filters.metadata.items():
        # Not by a JSON path: in SQLite's there is no way to quote a quotation mark.
        pairs = rows_of(Split.split_metadata).table_valued(
            column("key", String), column("value", String)
        )
        has = exists(select(literal(1)).select_from(pairs))
        conditions.append(has.where(pairs.c.key == key, pairs.c.value == value))
    return conditions
