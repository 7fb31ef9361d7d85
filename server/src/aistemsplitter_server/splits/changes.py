"""Who waits for a split to change is told so; one query in a while asks for all who wait."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import queries

logger = logging.getLogger(__name__)

PERIOD = 0.25  # seconds between two queries
MOST = 500  # ids in a query


@dataclass(eq=False, slots=True)
class _Watcher:
    split_id: str
    revision: int
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Changes:
    """Watches splits for the requests of one event loop."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[_Watcher] = set()
        self._watching: asyncio.Task[None] | None = None

    async def wait(self, split_id: str, revision: int, seconds: float) -> None:
        """Return once the split is not of this revision any more, or after so many seconds."""
        watcher = _Watcher(split_id, revision)
        self._watchers.add(watcher)
        if self._watching is None or self._watching.done():
            self._watching = asyncio.create_task(self._watch())
        try:
            async with asyncio.timeout(seconds):
                await watcher.changed.wait()
        except TimeoutError:
            pass
        finally:
            self._watchers.discard(watcher)

    async def _watch(self) -> None:
        while self._watchers:
            ids = sorted({watcher.split_id for watcher in self._watchers})
            try:
                found = await run_in_threadpool(self._revisions, ids)
            except SQLAlchemyError as error:
                logger.warning("splits cannot be watched: %s", type(error).__name__)
            else:
                for watcher in self._watchers:
                    if watcher.split_id in ids and found.get(watcher.split_id) != watcher.revision:
                        watcher.changed.set()
            await asyncio.sleep(PERIOD)

    def _revisions(self, ids: list[str]) -> dict[str, int]:
        with self._database.read() as session:
            parts = [ids[start : start + MOST] for start in range(0, len(ids), MOST)]
            return {
                split_id: revision
                for part in parts
                for split_id, revision in queries.revisions(session, part).items()
            }
