"""The job that fetches a song from its URL, measures it, and queues it to be separated."""

from __future__ import annotations

from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.kit.errors import InsufficientCredits, LimitExceeded
from aistemsplitter_server.kit.outgoing import OutgoingError
from aistemsplitter_server.measuring import MeasuringFailed, measure
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.service import Superseded
from aistemsplitter_server.storage import keys
from aistemsplitter_server.worker import work_folder
from aistemsplitter_server.worker.attempt import Attempt, SplitFailed, ending, tidy
from aistemsplitter_server.worker.context import WorkerContext


def fetch(context: WorkerContext, split_id: str) -> None:
    """Carry the job out."""
    try:
        split = context.write(
            lambda session: service.begin_fetch(session, split_id, context.worker_id)
        )
    except Superseded:
        return
    if split is None:
        tidy(context, split_id)
        return
    attempt = Attempt(context, split)
    with ending(context, attempt):
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
                check=attempt.check,
            )
            measured = measure(song, split.filename, settings)
        except (OutgoingError, MeasuringFailed) as error:
            raise SplitFailed(error.code, str(error)) from None
        attempt.check()
        size = song.stat().st_size
        context.storage.put_file(keys.fetched(split.id), song)
    try:
        context.write(
            lambda session: service.fetched(
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
