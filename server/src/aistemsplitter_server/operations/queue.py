"""The current queue: which accounts wait for what, what runs, and how long all of it will take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.operations.queue_sums import QueueSums, Sums
from aistemsplitter_server.splits import queries, speeds
from aistemsplitter_server.splits.tables import IS_PROCESSING, Split
from aistemsplitter_server.workers import queries as workers

RUNNING = 50  # splits shown at most
ACCOUNTS = 50  # accounts shown at most


@dataclass(frozen=True, slots=True)
class Waiting:
    """One account's queued splits, by kind."""

    account_id: str
    account: str
    interactive: int
    batch: int
    to_fetch: int  # songs that are yet to be fetched from their URLs, or are being fetched
    running: int


@dataclass(frozen=True, slots=True)
class Queue:
    """The current queue.

    Attributes:
        accounts: The accounts with the most splits.
        others: The number of further accounts with splits in the queue.
        waiting: Splits that have not begun.
        at_work: Splits that have begun.
        running: Splits that workers process now, the longest-running first.
        oldest: When the split that has waited longest was created.
        drained_in: Time until all splits of known length are done; None where no speed was measured
            yet or no worker is alive.
        unknown: Songs that are yet to be fetched, whose length is not known.
        by_model: Numbers of splits that have not begun.
    """

    accounts: Sequence[Waiting]
    others: int
    waiting: int
    at_work: int
    running: Sequence[tuple[Split, Account]]
    oldest: datetime | None
    drained_in: timedelta | None
    unknown: int
    by_model: Mapping[str, int]


def current(session: Session, sums: QueueSums) -> Queue:
    """Return the current queue. The sums of a long one are some seconds old."""
    found = sums.current(session)
    waiting = found.waiting
    running = Counter(dict(session.execute(_RUNNING).all()))
    sizes = Counter({account_id: sum(kinds) for account_id, kinds in waiting.items()}) + running
    largest = sorted(sizes, key=lambda account_id: (-sizes[account_id], account_id))[:ACCOUNTS]
    named = select(Account.id, Account.name).where(Account.id.in_(largest))
    names = dict(session.execute(named).all())
    return Queue(
        accounts=[
            Waiting(
                account_id,
                names[account_id],
                *waiting.get(account_id, (0, 0, 0)),
                running[account_id],
            )
            for account_id in largest
        ],
        others=len(sizes) - len(largest),
        waiting=sum(map(sum, waiting.values())),
        at_work=running.total(),
        running=_running(session),
        oldest=queries.queued_since(session),
        drained_in=_drained_in(session, found),
        unknown=sum(to_fetch for _, _, to_fetch in waiting.values()),
        by_model=found.splits,
    )


_RUNNING = select(Split.account_id, func.count()).where(IS_PROCESSING).group_by(Split.account_id)


def _running(session: Session) -> Sequence[tuple[Split, Account]]:
    query = (
        select(Split, Account)
        .join(Account, Account.id == Split.account_id)
        .where(IS_PROCESSING)
        .order_by(Split.started_at, Split.id)
        .limit(RUNNING)
    )
    return [(split, account) for split, account in session.execute(query)]


def _drained_in(session: Session, sums: Sums) -> timedelta | None:
    """Assume each model's recent speed, and the work spread evenly over all workers alive."""
    left = _work_left(session, sums)
    if not left:
        return timedelta(0)
    known, alive = speeds.recent(session), workers.count_alive(session)
    if not known or not alive:
        return None
    slowest = min(known.values())  # for models without a measured speed
    seconds = sum(audio / known.get(model, slowest) for model, audio in left.items())
    return timedelta(seconds=seconds / alive)


def _work_left(session: Session, sums: Sums) -> dict[str, float]:
    """Return the seconds of audio that are yet to be separated, by model."""
    processing = (
        select(Split.served_by, func.sum(speeds.WORK * (1.0 - Split.progress)))
        .where(IS_PROCESSING)
        .group_by(Split.served_by)
    )
    left = dict(sums.work)
    for model, audio in session.execute(processing):
        left[model] = left.get(model, 0.0) + audio
    return {model: audio for model, audio in left.items() if audio > 0}
