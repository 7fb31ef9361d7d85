"""The queries on splits. Those for users are scoped to their account."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.orm import Session

from aistemsplitter_server.splits.tables import (
    COPIES_QUEUED,
    FAILED,
    PROCESSING,
    QUEUED,
    UNFINISHED,
    Listening,
    Share,
    Split,
)

# Asked with almost every request, so they are built once.
_OF_ACCOUNT = select(Split).where(
    Split.id == bindparam("split_id"),
    Split.account_id == bindparam("account_id"),
    Split.deleted_at.is_(None),
)
# In the words of its partial index; asked with every new split.
_QUEUED = text(
    "SELECT count(*) FROM splits"
    " WHERE account_id = :account_id AND is_test = :is_test AND status = 'queued'"
)
# Of the table: what goes the way of objects costs twice the time.
_SPLITS = Split.__table__.c
_IN_CLASS = _SPLITS.turn.between(bindparam("lowest"), bindparam("highest"))
_TURNS = select(
    *(
        select(which(_SPLITS.turn)).where(_IN_CLASS, *conditions).scalar_subquery().label(name)
        for name, which, conditions in (
            ("running", func.max, [_SPLITS.status == PROCESSING]),
            ("waiting", func.min, [_SPLITS.status == QUEUED]),
            (
                "last",
                func.max,
                [_SPLITS.status == QUEUED, _SPLITS.account_id == bindparam("account_id")],
            ),
        )
    )
)


def of_account(
    session: Session, account_id: str, split_id: str, *, is_test: bool | None
) -> Split | None:
    """A split of the account that was not deleted.

    Args:
        is_test: whether it must be one of a test key or must not; None: either.
    """
    found = {"account_id": account_id, "split_id": split_id}
    split = session.scalars(_OF_ACCOUNT, found).one_or_none()
    return None if split is None or is_test not in (None, split.is_test) else split


def queued(session: Session, account_id: str, *, is_test: bool) -> int:
    """Count the account's splits of one mode that have not begun."""
    asked = {"account_id": account_id, "is_test": is_test}
    return int(session.scalars(_QUEUED, asked).one())


def locked(session: Session, split_id: str) -> Split | None:
    """A split, held till the end of the transaction."""
    query = select(Split).where(Split.id == split_id).with_for_update()
    return session.scalars(query.execution_options(populate_existing=True)).one_or_none()


def page(
    session: Session,
    account_id: str,
    *,
    is_test: bool,
    before: str | None,
    status: str | None = None,
    named: str | None = None,
    limit: int,
) -> Sequence[Split]:
    """Splits of the account, newest first: either those of test keys or all others.

    Args:
        before: only those with smaller ids.
        named: only those whose file's name has this in it, in any case.
    """
    query = select(Split).where(
        Split.account_id == account_id, Split.is_test == is_test, Split.deleted_at.is_(None)
    )
    if before is not None:
        query = query.where(Split.id < before)
    if status is not None:
        query = query.where(Split.status == status)
    if named is not None:
        query = query.where(Split.filename.icontains(named, autoescape=True))
    return session.scalars(query.order_by(Split.id.desc()).limit(limit)).all()


def of_account_all(session: Session, account_id: str, ids: Sequence[str]) -> Sequence[Split]:
    """Those of these splits that are the account's and were not deleted."""
    query = select(Split).where(
        Split.id.in_(ids), Split.account_id == account_id, Split.deleted_at.is_(None)
    )
    return session.scalars(query).all()


def latest(
    session: Session, *, account_id: str | None, status: str | None, limit: int
) -> Sequence[Split]:
    """For the operator: the newest splits of an account or of all."""
    query = select(Split).order_by(Split.id.desc()).limit(limit)
    if account_id is not None:
        query = query.where(Split.account_id == account_id)
    if status is not None:
        query = query.where(Split.status == status)
    return session.scalars(query).all()


def queue(session: Session) -> Sequence[tuple[int, str]]:
    """Turn and id of all that wait, the next one first."""
    query = select(Split.turn, Split.id).where(Split.status == QUEUED)
    return [(turn, split_id) for turn, split_id in session.execute(query.order_by(*_ORDER))]


_ORDER = (Split.turn, Split.id)


def turns(
    session: Session, account_id: str, lowest: int, highest: int
) -> tuple[int | None, int | None]:
    """Among these turns: the one that is being served, and the last that an account waits for.

    Served is the newest that has begun; where none runs, the first that waits.
    """
    found = {"account_id": account_id, "lowest": lowest, "highest": highest}
    running, waiting, last = session.execute(_TURNS, found).one()
    return running or waiting, last


def retry_of(session: Session, split_id: str) -> Split | None:
    """Return the newest retry of a failed split that has not failed itself, nor was deleted."""
    query = select(Split).where(
        Split.retry_of == split_id, Split.status != FAILED, Split.deleted_at.is_(None)
    )
    return session.scalars(query.order_by(Split.id.desc()).limit(1)).first()


def shares_upload(session: Session, split: Split) -> bool:
    """Whether another split that was not deleted is of the same upload."""
    query = select(Split.id).where(
        Split.upload_id == split.upload_id, Split.id != split.id, Split.deleted_at.is_(None)
    )
    return session.scalars(query.limit(1)).first() is not None


def revisions(session: Session, ids: Sequence[str]) -> dict[str, int]:
    """The revision of each split that is there."""
    query = select(Split.id, Split.revision).where(Split.id.in_(ids))
    return {row.id: row.revision for row in session.execute(query)}


def set_progress(
    session: Session, split_id: str, attempt: int, progress: float, now: datetime
) -> bool:
    """Note how far an attempt is; False if it is not the newest one or the split has ended."""
    changed = session.execute(
        update(Split)
        .where(Split.id == split_id, Split.attempt == attempt, Split.status == PROCESSING)
        .values(progress=progress, revision=Split.revision + 1, updated_at=now)
        .returning(Split.id)
    )
    return changed.one_or_none() is not None


def unfinished(session: Session, after: str, limit: int) -> Sequence[Split]:
    """Return splits that have not ended, with larger ids than ``after``, in the ids' order."""
    query = select(Split).where(UNFINISHED, Split.id > after)
    return session.scalars(query.order_by(Split.id).limit(limit)).all()


def copies_queued(session: Session, after: str, limit: int) -> Sequence[Listening]:
    """Return listening copies that are yet to be made, in the order of their splits' ids."""
    query = select(Listening).where(COPIES_QUEUED, Listening.split_id > after)
    return session.scalars(query.order_by(Listening.split_id).limit(limit)).all()


def expired(session: Session, now: datetime, limit: int) -> Sequence[Split]:
    """Splits whose stems are to be deleted and were not."""
    query = select(Split).where(Split.swept_at.is_(None), Split.expires_at < now)
    return session.scalars(query.order_by(Split.expires_at).limit(limit)).all()


def share(session: Session, digest: bytes) -> Share | None:
    """A share link, whether its time is over or not."""
    return session.scalars(select(Share).where(Share.digest == digest)).one_or_none()


def shares(session: Session, split_id: str, now: datetime) -> Sequence[Share]:
    """The share links of a split that work now, oldest first."""
    query = select(Share).where(
        Share.split_id == split_id, Share.expires_at > now, Share.revoked_at.is_(None)
    )
    return session.scalars(query.order_by(Share.id)).all()
