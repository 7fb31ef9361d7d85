"""Server-sent events of a split: the split after every change, until it has ended.

Own code: the responses of FastAPI and sse-starlette ping on a timer of their own, whereas here each
wait for a change ends with the heartbeat. FastAPI's formatter was tried: it puts the id after the
data, which clients that read line by line would notice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

from aistemsplitter_server.accounts import limits
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.splits.changes import Changes

HEARTBEAT = 15.0  # seconds; proxies cut connections that are silent for a minute
HEARTBEAT_COMMENT = ": still there\n\n"
# Sent when the process stops. Clients then connect again, to another process or the next one.
RECONNECT = "retry: 1000\n\n"  # after so many milliseconds
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # nginx must not buffer it
# For a stream, tools read the schema as that of each event.
DOCUMENTED = {
    "description": "An event for every change; the last one when the split has ended.",
    "content": {
        "text/event-stream": {
            "schema": {
                "type": "object",
                "properties": {
                    "id": {"type": "string", "description": "value for Last-Event-ID"},
                    "event": {"const": "split"},
                    "data": {"type": "string", "contentMediaType": "application/json"},
                },
                "required": ["id", "event", "data"],
            }
        }
    },
}

Read = Callable[[], tuple[int, str, bool] | None]


class Streams:
    """Counts the event streams of each account that this process has open."""

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    @contextmanager
    def counted(self, account_id: str, allowed: Limits) -> Iterator[None]:
        """Count one more stream while the block runs. Only for the event loop's thread.

        Raises:
            LimitExceeded: The account has reached its limit of streams.
        """
        limits.check(allowed, "streams", lambda: self._open[account_id])
        self._open[account_id] += 1
        try:
            yield
        finally:
            self._open[account_id] -= 1
            if not self._open[account_id]:
                del self._open[account_id]


class EventStream(StreamingResponse):
    """A response of server-sent events that counts against its account's limit.

    Args:
        events: The events, as they are sent.
        place: A context manager that counts the stream while it is sent.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        events: AsyncIterator[str],
        place: AbstractContextManager[None],
        status_code: int = 200,  # FastAPI's document reads the status from this default
    ) -> None:
        super().__init__(events, status_code, headers=HEADERS)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the stream."""
        with self._place:
            await super().__call__(scope, receive, send)


async def events(
    read: Read, changes: Changes, split_id: str, last_seen: int | None
) -> AsyncIterator[str]:
    """Yield the events as they are sent.

    Args:
        read: Returns the split's revision, its JSON and whether it has ended; None once deleted.
        last_seen: The revision that a reconnecting client has already.
    """
    sent = ""
    while (found := await run_in_threadpool(read)) is not None:
        revision, shown, ended = found
        if shown != sent and (revision != last_seen or ended):
            yield f"id: {revision}\nevent: split\ndata: {shown}\n\n"
        else:
            yield HEARTBEAT_COMMENT
        if ended:
            return
        sent, last_seen = shown, None
        await changes.wait(split_id, revision, HEARTBEAT)
        if changes.are_over:
            yield RECONNECT
            return
