"""Checkpoints beside readers and writers."""

from __future__ import annotations

import threading
from pathlib import Path

from aistemsplitter_server.kit import checkpoints
from aistemsplitter_server.kit.database import Database
from databases import only_sqlite
from history import account
from processes import until


def stored(database: Database, text: str) -> bool:
    """Return whether a text is in the database's main file, without the log."""
    return text.encode() in Path(str(database.engine.url.database)).read_bytes()


@only_sqlite
def test_the_log_is_written_to_the_database(database: Database) -> None:
    account(database, "the first")
    assert not stored(database, "the first")
    with checkpoints.running(database):
        until(lambda: stored(database, "the first"))
        account(database, "the second")
        until(lambda: stored(database, "the second"))
    account(database, "the third")
    assert not stored(database, "the third")


@only_sqlite
def test_a_checkpoint_does_not_wait_for_readers(database: Database) -> None:
    with database.read_connection() as reader:
        reader.exec_driver_sql("SELECT count(*) FROM accounts")
        account(database, "written later")
        database.checkpoint()
        assert not stored(database, "written later")
    database.checkpoint()
    assert stored(database, "written later")


@only_sqlite
def test_a_checkpoint_does_not_wait_for_a_writer(database: Database) -> None:
    account(database, "written before")
    with database.write():
        thread = threading.Thread(target=database.checkpoint)
        thread.start()
        thread.join(60)
        assert not thread.is_alive()
    assert stored(database, "written before")
