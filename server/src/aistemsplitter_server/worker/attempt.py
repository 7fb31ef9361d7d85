"""One attempt at a split: its progress, whether it must stop, and how it ends."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import structlog
from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.accounts import standing
from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import listening, queries, service
from aistemsplitter_server.splits.service import Superseded
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.worker import shortages, work_folder
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.shortages import Shortage
from aistemsplitter_server.workers.tables import DISK

logger = logging.getLogger(__name__)

PERIOD = 1.0  # seconds between two checks of the split's row


class Draining(Exception):
    """The worker is stopping. The split is resumed by the next attempt."""


class ModelMissing(Exception):
    """A lack of the split's model on this worker. Another worker may have it."""


class SplitFailed(Exception):
    """The split cannot succeed in any attempt.

    Attributes:
        code: The split's error code.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(message)


class Attempt:
    """An attempt at a split, which regularly checks the split's row.

    Attributes:
        superseded: Whether a check found that another attempt has begun or the split has ended.
    """

    def __init__(self, context: WorkerContext, split: Split) -> None:
        self.split = split
        self.number = split.attempt
        self._context = context
        self._progress = self._written = 0.0
        self._due = 0.0
        self.superseded = False

    def progress(self, fraction: float) -> None:
        """Note the progress. It is written at the next check of the row."""
        self._progress = fraction

    def should_stop(self) -> bool:
        """Return whether to stop: the worker is stopping, or the attempt is superseded."""
        now = time.monotonic()
        if now >= self._due and not self.superseded:
            self._due = now + PERIOD
            try:
                self.superseded = not self._is_current()
            except SQLAlchemyError as error:  # checked again the next time
                logger.warning("the split's row could not be checked: %s", type(error).__name__)
        is_leaving = self._context.stopping.is_set() and self._context.grace.is_over()
        return self.superseded or is_leaving

    def check(self) -> None:
        """Raise ``Superseded`` or ``Draining`` if the attempt should stop."""
        if self.should_stop():
            raise self.stopped()

    def stopped(self) -> Exception:
        """Return the exception for why it was stopped."""
        return Superseded() if self.superseded else Draining()

    def _is_current(self) -> bool:
        split_id, number = self.split.id, self.number
        if self._progress != self._written:
            with self._context.database.write() as session:
                self._written = self._progress
                now = times.now()
                if not queries.set_progress(session, split_id, number, self._written, now):
                    return False
                return standing.is_active(session, self.split.account_id)
        with self._context.database.read() as session:
            found = session.get(Split, split_id)
            if found is None or found.attempt != number or found.status in TERMINAL:
                return False
            return standing.is_active(session, found.account_id)


@contextmanager
def ending(context: WorkerContext, attempt: Attempt) -> Iterator[None]:
    """Update the split after whatever ends the block. Only ``Draining`` is raised again."""
    split = attempt.split
    split_id, number = split.id, attempt.number
    ids = {
        "split_id": split_id,
        "account_id": split.account_id,
        "attempt": number,
        "request_id": split.request_id,
    }
    began, outcome = time.monotonic(), "done"
    with structlog.contextvars.bound_contextvars(**ids):
        try:
            with suppress(Superseded):
                try:
                    yield
                except Superseded:  # no longer needed
                    outcome = "stopped" if attempt.superseded else "superseded"
                except Draining:
                    outcome = "released"
                    context.write(lambda session: service.release(session, split_id, number))
                    raise
                except ModelMissing as error:
                    outcome = "no model"
                    logger.warning("the split goes back to the queue: %s", error)
                    context.write(lambda session: service.postpone(session, split_id, number, 0))
                except SplitFailed as error:
                    outcome, message = error.code, str(error)
                    context.write(
                        lambda session: service.fail(
                            session, service.current(session, split_id, number), outcome, message
                        )
                    )
                except Exception as error:
                    shortage = shortages.find(error, context.settings.data)
                    if shortage is None:
                        outcome = "error"
                        logger.exception("the attempt failed")
                        context.write(lambda session: service.retry(session, split_id, number))
                    else:
                        outcome = f"lack of {shortage.kind}"
                        _postpone(context, attempt, shortage)
            tidy(context, split_id)
        finally:
            seconds = round(time.monotonic() - began, 3)
            logger.info("attempt", extra={"outcome": outcome, "seconds": seconds})


def _postpone(context: WorkerContext, attempt: Attempt, shortage: Shortage) -> None:
    """Pause this worker, and give the split back to the queue without counting the attempt."""
    context.shortages.begin(shortage)
    split_id, number = attempt.split.id, attempt.number
    if shortage.kind == DISK:  # the database may be on the same disk
        with suppress(OSError):  # the song goes back to the queue all the same
            work_folder.remove(context.settings.data, split_id)
    context.write(lambda session: service.postpone(session, split_id, number))


def tidy(context: WorkerContext, split_id: str) -> None:
    """Delete files that only the work needed, once the split has ended. Never raises."""
    try:
        with context.database.read() as session:
            found = session.get(Split, split_id)
            copies_wanted = listening.wanted(session, split_id) is not None
        if found is None or found.status in TERMINAL:
            if not copies_wanted:  # the listening copies are made from it first
                context.storage.delete_prefix(keys.fetched(split_id))
            work_folder.remove(context.settings.data, split_id)
            context.storage.delete_prefix(keys.checkpoints(split_id))
    except (OSError, SQLAlchemyError) as error:
        logger.warning(
            "temporary files could not be deleted: %s", type(error).__name__
        )  # the sweep will delete them
