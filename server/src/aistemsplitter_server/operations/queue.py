"""The queue as it stands: who waits for what, what runs, and how long all of it will take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.operations import workers
from aistemsplitter_server.splits import speeds
from aistemsplitter_server.splits.queueing import BATCH
from aistemsplitter_server.splits.tables import PROCESSING, QUEUED, Split

RUNNING = 50  # shown at most

_TO_FETCH = and_(Split.input_url.is_not(None), Split.duration_seconds == 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """One account's splits in the queue, by kind."""

    account_id: str
    account: str
    interactive: int
    batch: int
    to_fetch: int  # the song is yet to be fetched from its URL, or is being fetched
    running: int

    @property
    def waiting(self) -> int:
        """How many have not begun."""
        return self.interactive + self.batch + self.to_fetch


@dataclass(frozen=True, slots=True)
class Queue:
    """All of it.

    Attributes:
        running: what workers are at, the first to begin first.
        oldest: since when the one that waits longest does.
        drained_in: until all that is known of is done; None where no speed was measured yet or
            no worker lives.
        unknown: songs that are yet to be fetched, so that nobody knows how long they are.
    """

    accounts: Sequence[Waiting]
    running: Sequence[tuple[Split, Account]]
    oldest: datetime | None
    drained_in: timedelta | None
    unknown: int

    @property
    def waiting(self) -> int:
        """How many have not begun."""
        return sum(account.waiting for account in self.accounts)

    @property
    def at_work(self) -> int:
        """How many have begun."""
        return sum(account.running for account in self.accounts)


def look(session: Session, now: datetime) -> Queue:
    """The queue at this moment."""
    accounts = _accounts(session)
    oldest = session.scalar(select(func.min(Split.created_at)).where(Split.status == QUEUED))
    return Queue(
        accounts=accounts,
        running=_running(session),
        oldest=oldest,
        drained_in=_drained_in(session, now),
        unknown=sum(account.to_fetch for account in accounts),
    )


def _accounts(session: Session) -> Sequence[Waiting]:
    def count(condition: ColumnElement[bool]) -> ColumnElement[int]:
        return func.sum(case((condition, 1), else_=0))

    waits = Split.status == QUEUED
    to_fetch = count(and_(waits, _TO_FETCH))
    interactive = count(and_(waits, ~_TO_FETCH, Split.turn < BATCH))
    batch = count(and_(waits, ~_TO_FETCH, Split.turn >= BATCH))
    running = count(Split.status == PROCESSING)
    query = (
        select(Account.id, Account.name, interactive, batch, to_fetch, running)
        .join(Split, Split.account_id == Account.id)
        .where(Split.status.in_((QUEUED, PROCESSING)))
        .group_by(Account.id, Account.name)
        .order_by(func.count().desc(), Account.id)
    )
    return [Waiting(*row) for row in session.execute(query)]


def _running(session: Session) -> Sequence[tuple[Split, Account]]:
    query = (
        select(Split, Account)
        .join(Account, Account.id == Split.account_id)
        .where(Split.status == PROCESSING)
        .order_by(Split.started_at, Split.id)
        .limit(RUNNING)
    )
    return [(split, account) for split, account in session.execute(query)]


def _drained_in(session: Session, now: datetime) -> timedelta | None:
    """By what each model took of late, with the workers that live sharing the work evenly."""
    left = _work_left(session)
    if not left:
        return timedelta(0)
    known, alive = speeds.lately(session), workers.living(session, now)
    if not known or not alive:
        return None
    slowest = min(known.values())  # for a model of which nothing is known yet
    seconds = sum(audio / known.get(model, slowest) for model, audio in left.items())
    return timedelta(seconds=seconds / alive)


def _work_left(session: Session) -> dict[str, float]:
    """Seconds of audio that are to be separated still, for each model."""
    query = (
        select(Split.served_by, func.sum(speeds.WORK * (1.0 - Split.progress)))
        .where(Split.status.in_((QUEUED, PROCESSING)))
        .group_by(Split.served_by)
    )
    return {model: audio for model, audio in session.execute(query) if audio > 0}
