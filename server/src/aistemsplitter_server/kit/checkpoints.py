"""Checkpoints of SQLite's write-ahead log, in a thread of their own.

By itself SQLite does them in the commit that makes the log too long, which then takes 0.1 s or more
and keeps all other writers waiting.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from aistemsplitter_server.kit.database import AWAY, Database
from aistemsplitter_server.kit.periodic import repeating

logger = logging.getLogger(__name__)

PERIOD = 1.0  # seconds


@contextmanager
def running(database: Database) -> Iterator[None]:
    """Checkpoint the database every second while the block runs. Does nothing on Postgres."""
    if not database.sqlite:
        yield
        return
    with repeating(partial(_checkpoint, database), PERIOD, "checkpoints"):
        yield


def _checkpoint(database: Database) -> None:
    try:
        database.checkpoint()
    except (sqlite3.OperationalError, *AWAY) as error:
        logger.warning("the log cannot be checkpointed: %s", type(error).__name__)
