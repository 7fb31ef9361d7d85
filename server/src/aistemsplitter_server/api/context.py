"""What endpoints are given: the database, and whose key the request came with."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api import rate_limits
from aistemsplitter_server.api.rate_limits import Allowance, RateLimits
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import AccountSuspended, Unauthorized
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.operations.throughput import History
from aistemsplitter_server.payments.interface import Payments
from aistemsplitter_server.splits.changes import Changes
from aistemsplitter_server.splits.queueing import Positions
from aistemsplitter_server.splits.stream import Streams
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.local import LocalStorage
from aistemsplitter_server.uploads.measurements import Measurements

HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?", re.ASCII)


# What makes a request safe to repeat: as the contract has it, any plain text of 1 to 255 letters.
IdempotencyKey = Annotated[
    str | None, Header(alias="Idempotency-Key", min_length=1, max_length=255, pattern="^[ -~]+$")
]


@dataclass(frozen=True, slots=True)
class Context:
    """What one process holds for all its requests."""

    settings: Settings
    database: Database
    secrets: Secrets
    limits: RateLimits
    positions: Positions
    changes: Changes
    streams: Streams
    history: History
    measurements: Measurements
    payments: Payments | None  # None: packs are granted by the operator


async def _context(request: Request) -> Context:
    return cast(Context, request.app.state.context)


InContext = Annotated[Context, Depends(_context)]


async def _base_url(context: InContext, request: Request) -> str:
    """What our URLs begin with: the setting, else as the caller has called us."""
    host = request.headers.get("host", "")
    if context.settings.public_url is not None or not HOST.fullmatch(host):
        return context.settings.base_url
    return f"{request.url.scheme}://{host}"


BaseUrl = Annotated[str, Depends(_base_url)]


async def _storage(context: InContext, base_url: BaseUrl) -> LocalStorage:
    return configured(context.settings, context.secrets, base_url)


InStorage = Annotated[LocalStorage, Depends(_storage)]


class Bearer(SecurityBase):
    """A dependency: whose key it is. As FastAPI's kind of thing it stands in the API's document."""

    scheme_name = "apiKey"
    model = HTTPBearer(description="`Authorization: Bearer ast_live_...`")

    async def __call__(self, context: InContext, request: Request) -> Caller:
        """Authenticate the request; see :func:`authenticate`."""
        return await authenticate(context, request)


async def authenticate(context: Context, request: Request) -> Caller:
    """Return whose key a request came with, and count the request, however often it is called.

    Raises:
        Unauthorized: no key, more than one, or none that is good.
        AccountSuspended: the key's account is.
        RateLimited: too many requests with this key, or from this address without a good one.
    """
    database, state = context.database, request.state
    known: Caller | None = getattr(state, "caller", None)
    if known is not None:
        return known
    try:
        api_key = _api_key(request)
        who = await database.look(partial(accounts.identify, database, context.secrets, api_key))
    except (Unauthorized, AccountSuspended):
        # Only who has no good key is counted so, or one neighbour could lock others out.
        address = request.client.host if request.client else ""
        limit = context.settings.rate_limit_per_minute
        await context.limits.take(rate_limits.neighbourhood(address), limit)
        raise
    state.caller = who
    state.allowance = await _count(context, who)
    if who.use_is_due:
        await run_in_threadpool(accounts.note_use, database, who.key_id)
    return who


async def _count(context: Context, who: Caller) -> Allowance | None:
    """Count a request of the key and of its account; the smaller allowance is told."""
    settings = context.settings
    of_account = who.requests_per_minute
    if of_account is None:
        of_account = settings.account_requests_per_minute
    taken = (
        await context.limits.take(who.key_id, settings.rate_limit_per_minute),
        await context.limits.take(who.account_id, of_account),
    )
    known = (allowance for allowance in taken if allowance is not None)
    return min(known, key=lambda allowance: allowance.remaining, default=None)


def _api_key(request: Request) -> str:
    headers = request.headers.getlist("authorization")
    if len(headers) != 1:
        raise Unauthorized
    scheme, _, api_key = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    return api_key.strip()


caller = Bearer()


def with_scope(scope: Scope) -> Callable[..., Awaitable[Caller]]:
    """A dependency: the caller, whose key must have the scope."""

    async def allowed(who: Annotated[Caller, Depends(caller)]) -> Caller:
        who.require(scope)
        return who

    return allowed
