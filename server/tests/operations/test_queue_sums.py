"""The sums of a long queue are computed in the background, those of a short one at once."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.operations import queue_sums
from aistemsplitter_server.operations.queue_sums import QueueSums
from aistemsplitter_server.splits.tables import Split
from history import account, add, split
from processes import until

NEVER = 1e9  # seconds


@pytest.fixture(autouse=True)
def _any_queue_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """From one split on; and sums are kept for ever."""
    monkeypatch.setattr(queue_sums, "_ONE_BEYOND", queue_sums._ONE_BEYOND.offset(0))
    monkeypatch.setattr(queue_sums, "USABLE_FOR", NEVER)
    monkeypatch.setattr(queue_sums, "RENEWED_AFTER", NEVER)


def waiting(sums: QueueSums, database: Database) -> int:
    with database.read() as session:
        return sum(map(sum, sums.current(session).waiting.values()))


@pytest.fixture
def outdated(database: Database) -> QueueSums:
    """Sums of one queued split, while there are two."""
    sums, whose = QueueSums(database), account(database)
    add(database, split(whose, "queued"))
    assert waiting(sums, database) == 1
    add(database, split(whose, "queued"))
    return sums


def test_only_a_long_queue_is_remembered(database: Database) -> None:
    sums, whose = QueueSums(database), account(database)
    assert waiting(sums, database) == 0
    add(database, split(whose, "queued"))
    assert waiting(sums, database) == 1
    add(database, split(whose, "queued"))
    assert waiting(sums, database) == 1
    with database.write() as session:
        session.execute(update(Split).values(status="failed"))
    assert waiting(sums, database) == 0


def test_old_sums_are_renewed_in_the_background(
    database: Database, outdated: QueueSums, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_sums, "RENEWED_AFTER", 0.0)
    monkeypatch.setattr(queue_sums, "SHARE", 0)
    until(lambda: waiting(outdated, database) == 2)
    monkeypatch.setattr(queue_sums, "RENEWED_AFTER", NEVER)
    until(lambda: not outdated._renewing)


def test_sums_that_are_too_old_are_not_used(
    database: Database, outdated: QueueSums, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_sums, "USABLE_FOR", 0.0)
    assert waiting(outdated, database) == 2
