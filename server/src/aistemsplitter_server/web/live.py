"""Server-sent events of the studio: a song's row after every change, until all songs have ended.

Own code for the reason that ``splits/stream.py`` gives.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import NamedTuple

from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.splits.changes import Changes
from aistemsplitter_server.splits.stream import HEARTBEAT, HEARTBEAT_COMMENT, RECONNECT


class Row(NamedTuple):
    """A song as the page shows it."""

    revision: int
    html: str
    ended: bool


class Songs(NamedTuple):
    """The rows by split id, without deleted splits, and the balance."""

    rows: Mapping[str, Row]
    balance: int  # seconds


async def rows(read: Callable[[], Songs | None], changes: Changes) -> AsyncIterator[str]:
    """Yield the events as they are sent.

    Args:
        read: Returns the current songs; None once the person is signed out.
    """
    sent: dict[str, str] = {}
    while (found := await run_in_threadpool(read)) is not None:
        for split_id, row in found.rows.items():
            # a new queue position changes the row, but not the split
            if sent.get(split_id) != row.html:
                sent[split_id] = row.html
                data = {"id": split_id, "html": row.html, "balance": found.balance}
                yield f"event: song\ndata: {json.dumps(data)}\n\n"
        waiting = {split_id: row.revision for split_id, row in found.rows.items() if not row.ended}
        if not waiting:
            break
        yield HEARTBEAT_COMMENT
        await changes.wait_any(waiting, HEARTBEAT)
        if changes.are_over:
            yield RECONNECT
            return
    yield "event: end\ndata: {}\n\n"
