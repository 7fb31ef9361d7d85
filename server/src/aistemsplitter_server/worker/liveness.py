"""Liveness of a worker: it updates its row in the database, beside its heartbeat file.

The file's lock shows at once that a worker with the same data folder is dead. For a worker on
another machine, the row shows it after half a minute. A worker on the same machine is killed when
it stalls (see ``kit/heartbeats.py``). It counts as alive until then, so its work is requeued only
afterwards.
"""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import metadata

from sqlalchemy import delete
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.kit.periodic import repeating
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.sandbox.messages import printable
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.workers.tables import SKEW, Worker, WorkerFault

logger = logging.getLogger(__name__)

BEAT = 5.0  # seconds
WARNED_AGAIN = 600.0  # seconds between two warnings about the clock
REMEMBERED_AGAIN = 30.0  # seconds between two times that a worker's models are remembered


@contextmanager
def registered(context: WorkerContext, device: str) -> Iterator[None]:
    """Keep the worker's row while the block runs, with the models that it can run."""
    row = _Row(context, device)
    context.abilities.refresh()  # outside the transaction, as it may read whole files
    context.write(row.register)
    try:
        with repeating(row.update, BEAT, "beat"):
            yield
    finally:
        with context.database.write() as session:
            models.remember(session, context.abilities.announced())
            session.execute(delete(Worker).where(Worker.id == context.worker_id))


@contextmanager
def reporting_faults(context: WorkerContext) -> Iterator[None]:
    """Record why a worker cannot start, for ``/readyz``, and delete that once one has started."""
    host = platform.node()
    try:
        yield
    except Exception as error:
        reason = printable(str(error) or type(error).__name__)
        fault = WorkerFault(host=host, happened_at=times.now(), reason=reason)
        # Whatever happens here, the original error is the one to raise.
        with suppress(SQLAlchemyError), context.database.write() as session:
            session.merge(fault)
        raise
    context.write(
        lambda session: session.execute(delete(WorkerFault).where(WorkerFault.host == host))
    )


class _Row:
    """The worker's row, which its heartbeats update."""

    def __init__(self, context: WorkerContext, device: str) -> None:
        self._context = context
        self._device = device
        self._warned = float("-inf")  # when the clock was last warned about
        self._announced: list[str] = []
        self._remembered = float("-inf")  # when the models were last remembered

    def register(self, session: Session) -> None:
        """Create the row."""
        now = clock(session)
        row = Worker(
            id=self._context.worker_id,
            host=platform.node(),
            pid=os.getpid(),
            started_at=now,
            seen_at=now,
            stopping=False,
            busy_seconds=0.0,
            audio_seconds=0.0,
            version=metadata.version("aistemsplitter-server"),
            device=self._device,
        )
        self._announce(session, session.merge(row))

    def update(self) -> None:
        """Send a heartbeat."""
        self._context.abilities.refresh()
        try:
            with self._context.database.write() as session:
                skew = self._write(session)
        except SQLAlchemyError as error:
            logger.warning("heartbeat failed: %s", type(error).__name__)
            return
        self._context.use.last_beat = time.monotonic()
        if abs(skew) > SKEW and time.monotonic() >= self._warned + WARNED_AGAIN:
            self._warned = time.monotonic()
            logger.warning("the clock differs from the database's by %.1f s: run NTP", skew)

    def _write(self, session: Session) -> float:
        """Return the seconds by which this machine's clock is ahead of the database's."""
        context = self._context
        now, local = clock(session), times.now()
        skew = (local - now).total_seconds()
        row = session.get(Worker, context.worker_id)
        if row is None:  # the worker was taken for dead, but is alive
            self.register(session)
            return skew
        row.seen_at, row.clock_skew = now, skew
        row.stopping = context.stopping.is_set()
        row.busy_seconds, row.audio_seconds = context.use.busy, context.use.audio
        shortage = context.shortages.current()
        row.shortage = row.shortage_reason = None
        if shortage is not None:
            row.shortage, row.shortage_reason = shortage.kind, printable(shortage)
        self._announce(session, row)
        return skew

    def _announce(self, session: Session, row: Worker) -> None:
        """Announce the models that this worker can run, and forget those that it has lost."""
        row.models = found = self._context.abilities.announced()
        session.flush()
        now = time.monotonic()
        if found != self._announced or now >= self._remembered + REMEMBERED_AGAIN:
            models.remember(session, found)
            models.forget(session, set(self._announced) - set(found))
            self._announced, self._remembered = found, now
