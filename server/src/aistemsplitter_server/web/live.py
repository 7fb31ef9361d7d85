"""Songs of a page as server-sent events: a song's row, whenever it has changed, until all ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.splits.changes import Changes
from aistemsplitter_server.splits.stream import HEARTBEAT


class Row(NamedTuple):
    """A song as the page shows it."""

    revision: int
    html: str
    ended: bool


class Songs(NamedTuple):
    """What a page shows: its rows by split id, without those deleted, and the balance."""

    rows: Mapping[str, Row]
    balance: int  # seconds


async def rows(read: Callable[[], Songs | None], changes: Changes) -> AsyncIterator[str]:
    """Yield the stream's text.

    Args:
        read: what is to be shown; None once nobody is signed in any more.
    """
    told: dict[str, str] = {}
    while (found := await run_in_threadpool(read)) is not None:
        for split_id, row in found.rows.items():
            if told.get(split_id) != row.html:  # a place in the queue is no change of the split
                told[split_id] = row.html
                data = {"id": split_id, "html": row.html, "balance": found.balance}
                yield f"event: song\ndata: {json.dumps(data)}\n\n"
        waiting = {split_id: row.revision for split_id, row in found.rows.items() if not row.ended}
        if not waiting:
            break
        yield ": still there\n\n"
        await changes.wait_any(waiting, HEARTBEAT)
    yield "event: end\ndata: {}\n\n"
