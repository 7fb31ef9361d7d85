"""Rows of live workers, without worker processes."""

from __future__ import annotations

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.workers.tables import Worker


def beat(
    database: Database,
    worker_id: str = "worker",
    audio_seconds: float = 0,
    models: list[str] | None = None,
) -> None:
    """Return a worker's row with a fresh heartbeat."""
    now = times.now()
    with database.write() as session:
        session.add(
            Worker(
                id=worker_id,
                host="here",
                pid=1,
                started_at=now,
                seen_at=now,
                stopping=False,
                busy_seconds=audio_seconds / 10,
                audio_seconds=audio_seconds,
                models=models,
            )
        )
