"""Checkpoints of SQLite's write-ahead log, in a thread of their own.

By itself SQLite does them in the commit that makes the log too long, which then takes 0.1 s or more
and keeps all other writers waiting.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from aistemsplitter_server.kit.database import AWAY, Database

logger = logging.getLogger(__name__)

PERIOD = 1.0  # seconds


@contextmanager
def running(database: Database) -> Iterator[None]:
    """Checkpoint the database every second while the block runs. Does nothing on Postgres."""
    if not database.sqlite:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_run, args=(database, ended), name="checkpoints", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _run(database: Database, ended: threading.Event) -> None:
    while not ended.wait(PERIOD):
        try:
            database.checkpoint()
        except (sqlite3.OperationalError, *AWAY) as error:
            logger.warning("the log cannot be checkpointed: %s", type(error).__name__)
