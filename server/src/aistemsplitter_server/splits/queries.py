"""Queries on splits. Those for users are scoped to their account."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Select,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session, aliased

from aistemsplitter_server.splits.tables import (
    COPIES_QUEUED,
    FAILED,
    IS_PROCESSING,
    IS_QUEUED,
    PROCESSING,
    TERMINAL,
    Listening,
    Share,
    Split,
)
from aistemsplitter_server.uploads.tables import Upload

EXACT_PLACES = 1000  # places that are all read
PLACES_STEP = 100  # of the places behind, one in so many is read
SEARCHED = 20_000  # splits that one search reads at most

# Run with almost every request, so they are built once.
_OF_ACCOUNT = select(Split).where(
    Split.id == bindparam("split_id"),
    Split.account_id == bindparam("account_id"),
    Split.deleted_at.is_(None),
)
# On the table: mapped objects take twice the time.
_SPLITS = Split.__table__.c
_UPLOADS = Upload.__table__.c
# Run with every new split.
_QUEUED = select(func.count()).where(
    _SPLITS.account_id == bindparam("account_id"),
    _SPLITS.is_test == bindparam("is_test"),
    IS_QUEUED,
)
# Run with every upload and every split. The conditions are those of partial indexes.
_STORED = select(
    select(func.coalesce(func.sum(_UPLOADS.content_length), 0))
    .where(
        _UPLOADS.account_id == bindparam("account_id"),
        _UPLOADS.deleted_at.is_(None),
        _UPLOADS.fault_code.is_(None),
    )
    .scalar_subquery()
    + select(func.coalesce(func.sum(_SPLITS.stored_bytes), 0))
    .where(
        _SPLITS.account_id == bindparam("account_id"),
        _SPLITS.stored_bytes > literal_column("0"),
        _SPLITS.swept_at.is_(None),
        _SPLITS.deleted_at.is_(None),
    )
    .scalar_subquery()
)
_IN_CLASS = _SPLITS.turn.between(bindparam("lowest"), bindparam("highest"))
_RETRY = aliased(Split)
_IS_RETRIED = exists(select(_RETRY.id).where(_RETRY.retry_of == Split.id))
_TURNS = select(
    *(
        select(which(_SPLITS.turn)).where(_IN_CLASS, *conditions).scalar_subquery().label(name)
        for name, which, conditions in (
            ("running", func.max, [IS_PROCESSING]),
            ("waiting", func.min, [IS_QUEUED]),
            ("last", func.max, [IS_QUEUED, _SPLITS.account_id == bindparam("account_id")]),
        )
    )
)


def of_account(
    session: Session, account_id: str, split_id: str, *, is_test: bool | None
) -> Split | None:
    """Return a split of the account that was not deleted.

    Args:
        is_test: The mode of its key; None for either.
    """
    found = {"account_id": account_id, "split_id": split_id}
    split = session.scalars(_OF_ACCOUNT, found).one_or_none()
    return None if split is None or is_test not in (None, split.is_test) else split


def queued(session: Session, account_id: str, *, is_test: bool) -> int:
    """Count the account's queued splits of one mode."""
    asked = {"account_id": account_id, "is_test": is_test}
    return int(session.scalars(_QUEUED, asked).one())


def stored_bytes(session: Session, account_id: str) -> int:
    """Sum the bytes of the account's uploads, stems and listening copies, also reserved ones."""
    return int(session.scalars(_STORED, {"account_id": account_id}).one())


def locked(session: Session, split_id: str) -> Split | None:
    """Return a split, locked until the end of the transaction."""
    query = select(Split).where(Split.id == split_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def page(
    session: Session,
    account_id: str,
    *,
    is_test: bool,
    before: str | None,
    limit: int,
) -> Sequence[Split]:
    """Return splits of the account, of one mode, newest first, without those that were retried.

    Args:
        before: Return only splits with smaller ids.
    """
    query = select(Split).where(
        Split.account_id == account_id,
        Split.is_test == is_test,
        Split.deleted_at.is_(None),
        ~_IS_RETRIED,
    )
    if before is not None:
        query = query.where(Split.id < before)
    return session.scalars(query.order_by(Split.id.desc()).limit(limit)).all()


def search(
    session: Session,
    account_id: str,
    text: str,
    *,
    is_test: bool,
    before: str | None,
    limit: int,
) -> tuple[Sequence[Split], str | None]:
    """Return splits whose file name contains a text, in any case, newest first.

    Failed splits that were retried are left out.

    A search reads a bounded number of splits, so its cost does not grow with the account. Trigram
    or word indexes would not find the two characters that Chinese titles are searched by.

    Args:
        before: Search only splits with smaller ids.

    Returns:
        The splits, and the id to continue before; None if no older split is left to search.
    """
    mine = select(Split).where(Split.account_id == account_id, Split.is_test == is_test)
    newest_first = mine.order_by(Split.id.desc())
    if before is not None:
        newest_first = newest_first.where(Split.id < before)
    conditions = (Split.filename.icontains(text, autoescape=True), ~_IS_RETRIED)
    return matching(session, newest_first, conditions, most=SEARCHED, limit=limit)


def matching(
    session: Session,
    newest_first: Select[Split],
    conditions: Sequence[ColumnElement[bool]],
    *,
    most: int | None,
    limit: int,
) -> tuple[Sequence[Split], str | None]:
    """Return splits of a query that are not deleted and meet conditions.

    Args:
        most: Splits that are read at most; None for any number.

    Returns:
        The splits, and the id to continue before; None if no older split is left to read.
    """
    query, oldest = newest_first.where(Split.deleted_at.is_(None), *conditions), None
    if most is not None:
        nth = newest_first.with_only_columns(Split.id).offset(most - 1).limit(1)
        oldest = session.scalar(nth)
    if oldest is not None:
        query = query.where(Split.id >= oldest)
    found = session.scalars(query.limit(limit + 1)).all()
    if len(found) > limit:
        return found[:limit], found[limit - 1].id
    return found, oldest


def of_account_all(session: Session, account_id: str, ids: Sequence[str]) -> Sequence[Split]:
    """Return those of these splits that are the account's and not deleted, oldest first."""
    query = select(Split).where(
        Split.id.in_(ids), Split.account_id == account_id, Split.deleted_at.is_(None)
    )
    return session.scalars(query.order_by(Split.id)).all()


def latest(
    session: Session, *, account_id: str | None, status: str | None, limit: int
) -> Sequence[Split]:
    """Return the newest splits of an account or of all, for the operator."""
    query = select(Split).order_by(Split.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(Split.account_id == account_id)
    if status is not None:
        query = query.where(Split.status == status)
    return session.scalars(query).all()


def queue_places(session: Session, without: Collection[str] = ()) -> Sequence[tuple[int, str, int]]:
    """Return turn, id and place (from 1) of queued splits, in the order in which they will begin.

    All of the first thousand, and every hundredth of the rest: with a queue of a million, the
    database reads it instead of every API process.

    Args:
        without: Models whose splits have no place, since no worker can run them.
    """
    query = places_query(Split.served_by.not_in(without)) if without else _PLACES
    return [(row.turn, row.id, row.place) for row in session.execute(query)]


def places_query(*conditions: ColumnElement[bool]) -> Select[*tuple[Any, ...]]:
    """Build the query of :func:`queue_places`."""
    place = func.row_number().over(order_by=(Split.turn, Split.id)).label("place")
    ordered = select(Split.turn, Split.id, place).where(IS_QUEUED, *conditions).subquery().c
    shown = or_(ordered.place <= EXACT_PLACES, ordered.place % PLACES_STEP == 0)
    return select(ordered.turn, ordered.id, ordered.place).where(shown).order_by(ordered.place)


_PLACES = places_query()


def waiting_for(session: Session | Connection, models: Collection[str]) -> dict[str, int]:
    """Count the queued splits of each of these models that has any."""
    query = select(Split.served_by, func.count()).where(IS_QUEUED, Split.served_by.in_(models))
    found = session.execute(query.group_by(Split.served_by).order_by(Split.served_by))
    return dict(found.all())


def models_of(session: Session, ids: Sequence[str]) -> dict[str, str]:
    """Return the models that run for the splits that exist."""
    query = select(Split.id, Split.served_by).where(Split.id.in_(ids))
    return {row.id: row.served_by for row in session.execute(query)}


def queued_since(session: Session | Connection) -> datetime | None:
    """Return when the split that has waited longest was created; ids sort by time."""
    unfinished = Split.finished_at.is_(None)  # the index of these is in the order of ids
    return session.scalar(
        select(Split.created_at).where(unfinished, IS_QUEUED).order_by(Split.id).limit(1)
    )


def turns(
    session: Session, account_id: str, lowest: int, highest: int
) -> tuple[int | None, int | None]:
    """Return the turn that is being served between two turns, and the account's last queued one.

    The turn being served is the highest that has begun, or else the lowest that waits.
    """
    found = {"account_id": account_id, "lowest": lowest, "highest": highest}
    running, waiting, last = session.execute(_TURNS, found).one()
    return running or waiting, last


def retry_of(session: Session, split_id: str) -> Split | None:
    """Return the newest retry of a failed split that has neither failed itself nor been deleted."""
    query = select(Split).where(
        Split.retry_of == split_id, Split.status != FAILED, Split.deleted_at.is_(None)
    )
    return session.scalars(query.order_by(Split.id.desc()).limit(1)).first()


def shares_upload(session: Session, split: Split) -> bool:
    """Return whether another split that was not deleted uses the same upload."""
    query = select(Split.id).where(
        Split.upload_id == split.upload_id, Split.id != split.id, Split.deleted_at.is_(None)
    )
    return session.scalars(query.limit(1)).first() is not None


def needed_uploads(session: Session, upload_ids: Sequence[str]) -> set[str]:
    """Return those of these uploads that unfinished splits need."""
    query = select(Split.upload_id).where(
        Split.upload_id.in_(upload_ids), Split.status.not_in(TERMINAL)
    )
    return {upload_id for upload_id in session.scalars(query) if upload_id is not None}


def revisions(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """Return the revisions of the splits that exist."""
    query = select(Split.id, Split.revision).where(Split.id.in_(ids))
    return {row.id: row.revision for row in session.execute(query)}


def set_progress(
    session: Session, split_id: str, attempt: int, progress: float, now: datetime
) -> bool:
    """Set an attempt's progress; return False if it is superseded or the split has ended."""
    changed = session.execute(
        update(Split)
        .where(Split.id == split_id, Split.attempt == attempt, Split.status == PROCESSING)
        .values(progress=progress, revision=Split.revision + 1, updated_at=now)
        .returning(Split.id)
    )
    return changed.one_or_none() is not None


def unfinished(session: Session, after: str, limit: int) -> Sequence[Split]:
    """Return splits that have not ended, with larger ids than ``after``, in the order of ids."""
    query = select(Split).where(Split.finished_at.is_(None), Split.id > after)
    return session.scalars(query.order_by(Split.id).limit(limit)).all()


def fetches_due(
    session: Session, now: datetime, account_id: str, without: Sequence[str], limit: int
) -> Sequence[tuple[str, str]]:
    """Return id and URL of an account's songs that are due to be fetched, the earliest first.

    Args:
        without: Ids to leave out.
    """
    query = select(Split.id, Split.input_url).where(
        Split.account_id == account_id, Split.fetch_at <= now, Split.id.not_in(without)
    )
    found = session.execute(query.order_by(Split.fetch_at).limit(limit))
    return [(split_id, url or "") for split_id, url in found]


def renew_fetches(session: Session, ids: Sequence[str], worker_id: str, until: datetime) -> None:
    """Extend the claims on songs that this worker is fetching."""
    mine = Split.id.in_(ids), Split.worker_id == worker_id, Split.fetch_at.is_not(None)
    session.execute(update(Split).where(*mine).values(fetch_at=until))


def copies_queued(session: Session, after: str, limit: int) -> Sequence[Listening]:
    """Return listening copies that are yet to be made, in the order of their splits' ids."""
    query = select(Listening).where(COPIES_QUEUED, Listening.split_id > after)
    return session.scalars(query.order_by(Listening.split_id).limit(limit)).all()


def share(session: Session, digests: Sequence[bytes]) -> Share | None:
    """Return a share link, expired or not."""
    return session.scalars(select(Share).where(Share.digest.in_(digests))).one_or_none()


def shares(session: Session, split_id: str, now: datetime) -> Sequence[Share]:
    """Return the share links of a split that work now, oldest first."""
    query = select(Share).where(
        Share.split_id == split_id, Share.expires_at > now, Share.revoked_at.is_(None)
    )
    return session.scalars(query.order_by(Share.id)).all()
