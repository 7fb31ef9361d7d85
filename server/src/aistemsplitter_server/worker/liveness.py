"""Which workers live: each beats in the database, and holds a lock that the system lets go.

The lock tells at once that a worker on a shared data folder is dead; the beat tells of one on
another machine, or one that hangs, after half a minute.
"""

from __future__ import annotations

import logging
import os
import platform
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from sqlalchemy import delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from aistemsplitter_server.kit import times
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.tables import DEAD_AFTER, Worker

logger = logging.getLogger(__name__)

BEAT = 5.0  # seconds
FORGOTTEN_AFTER = timedelta(hours=1)
FOLDER = "workers"  # in the data folder


@contextmanager
def beating(context: WorkerContext) -> Iterator[None]:
    """Count as alive for as long as the block lasts."""
    path = _lock_path(context.settings.data, context.worker_id)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with FileLock(path):
        context.write(lambda session: _register(session, context.worker_id))
        ended = threading.Event()
        thread = threading.Thread(target=_beat, args=(context, ended), name="beat", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            with context.database.write() as session:
                session.execute(delete(Worker).where(Worker.id == context.worker_id))
    path.unlink(missing_ok=True)


def living(session: Session, data: Path | None = None) -> frozenset[str]:
    """The ids of the workers that live.

    Args:
        data: the data folder, to tell at once those that died on it.
    """
    query = select(Worker.id).where(Worker.seen_at > times.now() - DEAD_AFTER)
    found = session.scalars(query).all()
    return frozenset(name for name in found if data is None or not _let_go(data, name))


def bury(session: Session, data: Path) -> None:
    """Forget the workers that are dead for long."""
    query = delete(Worker).where(Worker.seen_at < times.now() - FORGOTTEN_AFTER)
    for name in session.scalars(query.returning(Worker.id)):
        _lock_path(data, name).unlink(missing_ok=True)


def _register(session: Session, worker_id: str) -> None:
    now = times.now()
    row = Worker(
        id=worker_id,
        host=platform.node(),
        pid=os.getpid(),
        started_at=now,
        seen_at=now,
        stopping=False,
        busy_seconds=0.0,
        audio_seconds=0.0,
    )
    session.merge(row)


def _beat(context: WorkerContext, ended: threading.Event) -> None:
    while not ended.wait(BEAT):
        try:
            with context.database.write() as session:
                row = session.get(Worker, context.worker_id)
                if row is None:  # taken for dead and buried; it lives
                    _register(session, context.worker_id)
                    continue
                row.seen_at = times.now()
                row.stopping = context.stopping.is_set()
                row.busy_seconds, row.audio_seconds = context.use.busy, context.use.audio
        except SQLAlchemyError as error:
            logger.warning("no beat: %s", type(error).__name__)


def _let_go(data: Path, worker_id: str) -> bool:
    """Whether a worker's lock lies here and nobody holds it."""
    path = _lock_path(data, worker_id)
    if not path.exists():
        return False
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    return True


def _lock_path(data: Path, worker_id: str) -> Path:
    return data / FOLDER / f"{worker_id}.lock"
