"""Waiting for splits to change: one query at a time polls for all requests that wait."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import queries

logger = logging.getLogger(__name__)

PERIOD = 0.25  # seconds between two queries
MOST = 500  # ids in one query


@dataclass(eq=False, slots=True)
class _Watcher:
    revisions: Mapping[str, int]  # by split id
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Changes:
    """Watches splits for the requests of one event loop.

    Attributes:
        are_over: Whether the process is stopping, so that streams of changes have to end.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._watchers: set[_Watcher] = set()
        self._watching: asyncio.Task[None] | None = None
        self.are_over = False

    def end(self) -> None:
        """Wake all that wait, for the last time. Only for the event loop's thread."""
        self.are_over = True
        for watcher in self._watchers:
            watcher.changed.set()

    async def wait(self, split_id: str, revision: int, seconds: float) -> None:
        """Return once the split has another revision, or after the timeout."""
        await self.wait_any({split_id: revision}, seconds)

    async def wait_any(self, revisions: Mapping[str, int], seconds: float) -> None:
        """Return once any of several splits has another revision, or after the timeout."""
        if self.are_over:
            return
        watcher = _Watcher(revisions)
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
            ids = sorted({each for watcher in self._watchers for each in watcher.revisions})
            try:
                found = await run_in_threadpool(self._revisions, ids)
            except SQLAlchemyError as error:
                logger.warning("splits cannot be polled: %s", type(error).__name__)
            else:
                asked = set(ids)
                for watcher in self._watchers:
                    if any(
                        split_id in asked and found.get(split_id) != revision
                        for split_id, revision in watcher.revisions.items()
                    ):
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
