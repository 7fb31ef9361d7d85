"""The context of requests: what one process holds for all of them, as dependencies of endpoints."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Header, Request

from aistemsplitter_server.http.rate_limits import RateLimits
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations.queue_sums import QueueSums
from aistemsplitter_server.operations.throughput import History
from aistemsplitter_server.payments.interface import Payments
from aistemsplitter_server.splits.changes import Changes
from aistemsplitter_server.splits.queueing import Positions
from aistemsplitter_server.splits.stream import Streams
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads.measurements import Measurements

HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)


# Any printable ASCII of 1 to 255 characters, by the API's contract.
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern="^[ -~]+$")
]


@dataclass(frozen=True, slots=True)
class Context:
    """What one process holds for all its requests."""

    settings: Settings
    database: Database
    secrets: Secrets
    storage: Storage
    limits: RateLimits
    positions: Positions
    changes: Changes
    streams: Streams
    history: History
    queue_sums: QueueSums
    measurements: Measurements
    payments: Payments | None  # None where only the operator grants packs


async def _context(request: Request) -> Context:
    return cast(Context, request.app.state.context)


InContext = Annotated[Context, Depends(_context)]


async def _base_url(context: InContext, request: Request) -> str:
    """Return the base of our URLs: the setting, or else the host that the client called."""
    host = request.headers.get("host", "")
    if context.settings.public_url is not None or not HOST.fullmatch(host):
        return context.settings.base_url
    return f"{request.url.scheme}://{host}"


BaseUrl = Annotated[str, Depends(_base_url)]


async def _storage(context: InContext, base_url: BaseUrl) -> Storage:
    return context.storage.at(base_url)


InStorage = Annotated[Storage, Depends(_storage)]
