"""A split's progress as server-sent events: the split, whenever it has changed, until its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.splits.changes import Changes

HEARTBEAT = 15.0  # seconds; proxies cut connections that are silent for a minute
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx must not collect it
# Tools read a schema of a stream as that of each event.
DOCUMENTED = {
    "description": "An event for every change, the last one when the split has ended.",
    "content": {
        "text/event-stream": {
            "schema": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "what Last-Event-ID is given"},
                    "event": {"const": "split"},
                    "data": {"type": "string", "contentMediaType": "application/json"},
                },
                "required": ["id", "event", "data"],
            }
        }
    },
}

Read = Callable[[], tuple[int, str, bool] | None]


class EventStream(StreamingResponse):
    """What the endpoint answers with."""

    media_type = "text/event-stream"


async def events(
    read: Read, changes: Changes, split_id: str, last_seen: int | None
) -> AsyncIterator[str]:
    """Yield the stream's text.

    Args:
        read: the split's revision, its JSON and whether it has ended; None once it is deleted.
        last_seen: the revision that the reader has, who comes again.
    """
    told = ""
    while (found := await run_in_threadpool(read)) is not None:
        revision, shown, ended = found
        if shown != told and (revision != last_seen or ended):
            yield f"id: {revision}\nevent: split\ndata: {shown}\n\n"
        else:
            yield ": still there\n\n"
        if ended:
            return
        told, last_seen = shown, None
        await changes.wait(split_id, revision, HEARTBEAT)
