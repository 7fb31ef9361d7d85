"""Fetching songs from their URLs. Each is measured, charged, and queued for separation."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.kit import round_robin
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.kit.errors import InsufficientCredits, LimitExceeded
from aistemsplitter_server.kit.outgoing import OutgoingError
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.measuring import MeasuringFailed, measure
from aistemsplitter_server.splits import fetches, queries
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.worker import work_folder
from aistemsplitter_server.worker.attempt import Attempt, Draining, SplitFailed, ending, tidy
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Item, Limits


class Fetches:
    """The splits whose song is due to be fetched, for a dispatcher."""

    limits = Limits(total=8, host=4)
    needs_disk = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def account_limit(self, session: Session, account_id: str) -> int:
        """Return how many songs of an account this process may fetch at the same time."""
        allowed = limits_of(session, self._settings, account_id).concurrent_fetches
        return allowed or self.limits.total

    def accounts(
        self, session: Session, now: datetime, after: str, limit: int
    ) -> list[round_robin.Waiting]:
        """Return accounts with songs to fetch, in the order of their ids."""
        return round_robin.accounts(
            session, Split.account_id, Split.fetch_at, now=now, after=after, limit=limit
        )

    def due(
        self,
        session: Session,
        now: datetime,
        account_id: str,
        *,
        running: Sequence[Item],
        limit: int,
    ) -> Sequence[Item]:
        """Return an account's songs to fetch, the earliest first."""
        without = [item.id for item in running]
        found = queries.fetches_due(session, now, account_id, without, limit)
        return [Item(split_id, account_id, url) for split_id, url in found]

    def run(self, context: WorkerContext, item_id: str) -> None:
        """Fetch a song."""
        fetch(context, item_id)

    def renew(self, context: WorkerContext, item_ids: Sequence[str]) -> None:
        """Renew the claims on songs that are being fetched."""
        with context.database.write() as session:
            until = clock(session) + fetches.LEASE
            queries.renew_fetches(session, item_ids, context.worker_id, until)


def fetch(context: WorkerContext, split_id: str) -> None:
    """Fetch a song, unless it is not due or another process has claimed it."""
    split = context.write(lambda session: fetches.begin(session, split_id, context.worker_id))
    if split is None:
        tidy(context, split_id)
        return
    attempt = Attempt(context, split)
    with suppress(Draining), ending(context, attempt):
        _fetch(context, attempt)


def _fetch(context: WorkerContext, attempt: Attempt) -> None:
    split, settings = attempt.split, context.settings
    assert split.input_url is not None
    with work_folder.of(settings.data, split.id, attempt.number) as folder:
        song = folder / f"fetched-{attempt.number}"
        try:
            context.outgoing.fetch(
                split.input_url,
                song,
                limit=settings.upload_limit,
                deadline=settings.fetch_seconds,
                announced=lambda size: context.write(
                    lambda session: fetches.announce_size(session, split.id, attempt.number, size)
                ),
                check=attempt.check,
            )
            measured = measure(song, split.filename, settings)
        except (OutgoingError, MeasuringFailed) as error:
            raise SplitFailed(error.code, str(error)) from None
        except InsufficientCredits as error:
            raise SplitFailed(error.code, error.message) from None
        attempt.check()
        size = song.stat().st_size
        context.put_file(keys.fetched(split.id), song)
    try:
        context.write(
            lambda session: fetches.finish(
                session,
                split.id,
                attempt.number,
                measured.duration_seconds,
                measured.sample_rate,
                size=size,
                allowed=limits_of(session, settings, split.account_id),
            )
        )
    except (InsufficientCredits, LimitExceeded) as error:
        raise SplitFailed(error.code, error.message) from None
