"""The models that can be asked for follow the workers."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.models import queries
from aistemsplitter_server.models.tables import InstalledModel
from aistemsplitter_server.workers.tables import DEAD_AFTER, Worker
from beating import beat

TINY, FINE, SIX = "htdemucs_tiny", "htdemucs_ft", "htdemucs_6s"


def remembered(database: Database, name: str, ago: timedelta = timedelta()) -> None:
    with database.write() as session:
        queries.remember(session, [name])
        session.execute(
            update(InstalledModel)
            .where(InstalledModel.name == name)
            .values(seen_at=times.now() - ago)
        )


@pytest.mark.parametrize(
    ("workers", "ago", "installed"),
    [
        pytest.param([[TINY, FINE]], 0, True, id="a worker has it"),
        pytest.param([[TINY]], 1, True, id="its worker restarts"),
        pytest.param([[TINY]], 2, False, id="others run"),
        pytest.param([], 1000, True, id="none runs"),
        pytest.param([None], 1000, True, id="a worker of the previous version"),
    ],
)
def test_what_can_be_asked_for(
    database: Database, workers: list[list[str] | None], ago: int, installed: bool
) -> None:
    """``ago`` is when a worker last had the model, in units of most of the grace."""
    remembered(database, FINE, ago * 0.9 * queries.GRACE)
    for number, models in enumerate(workers):
        beat(database, f"wrk_{number}", models=models)
    with database.read() as session:
        assert queries.installed(session) == ({TINY, FINE} if installed else {TINY})


def test_a_lost_model_cannot_be_asked_for_at_once_unless_another_worker_has_it(
    database: Database,
) -> None:
    remembered(database, FINE)
    remembered(database, SIX)
    beat(database, "wrk_loser", models=[TINY])
    beat(database, "wrk_other", models=[TINY, SIX])
    with database.write() as session:
        queries.forget(session, [FINE, SIX])
    with database.read() as session:
        assert queries.installed(session) == {TINY, SIX}


def test_announcements_end_with_their_worker(database: Database) -> None:
    beat(database, "wrk_1", models=[TINY, FINE])
    beat(database, "wrk_2", models=[TINY])
    with database.read() as session:
        assert queries.lacking(session) == {"htdemucs", SIX}
    with database.write() as session:
        session.get_one(Worker, "wrk_1").seen_at -= 2 * DEAD_AFTER
    with database.read() as session:
        assert queries.lacking(session) == {"htdemucs", SIX, FINE}
