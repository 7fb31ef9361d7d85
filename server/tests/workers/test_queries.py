from __future__ import annotations

from datetime import timedelta

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.workers import queries as workers
from aistemsplitter_server.workers.tables import DEAD_AFTER, Worker
from beating import beat


def test_live_workers_and_their_load(database: Database) -> None:
    beat(database, "dead", audio_seconds=100)
    beat(database, "fresh")
    beat(database, "busy", audio_seconds=300)
    now = times.now()
    with database.write() as session:
        session.get_one(Worker, "dead").seen_at = now - DEAD_AFTER - timedelta(seconds=1)
        busy = session.get_one(Worker, "busy")
        busy.started_at, busy.seen_at, busy.busy_seconds = now - timedelta(minutes=2), now, 30
    with database.read() as session:
        found = {worker.id: worker for worker in workers.statuses(session)}
        assert workers.count_alive(session) == 2
    assert list(found) == ["busy", "fresh", "dead"]
    assert [worker.alive for worker in found.values()] == [True, True, False]
    assert (found["busy"].busy, found["busy"].speed) == pytest.approx((0.25, 10))
    assert (found["fresh"].busy, found["fresh"].speed) == (0, None)
