"""Authenticating the API's callers by their keys, and counting their requests."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import Depends, Request
from fastapi.openapi.models import HTTPBearer
from fastapi.security import SecurityScopes
from fastapi.security.base import SecurityBase
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.http import rate_limits
from aistemsplitter_server.http.bodies import API
from aistemsplitter_server.http.context import Context, InContext
from aistemsplitter_server.http.rate_limits import Allowance
from aistemsplitter_server.kit import logs
from aistemsplitter_server.kit.errors import AccountSuspended, Unauthorized

PAYMENTS = "/payments/"
EVENT_LIMIT = 1 << 18  # bytes of a payment provider's event, which is read before it is verified


class Bearer(SecurityBase):
    """A dependency that authenticates the caller. It also declares the scheme in the document."""

    scheme_name = "apiKey"
    model = HTTPBearer(description="`Authorization: Bearer ast_live_...`")

    async def __call__(self, context: InContext, request: Request) -> Caller:
        """Authenticate the request; see :func:`authenticate`."""
        return await authenticate(context, request)


async def authenticate(context: Context, request: Request) -> Caller:
    """Return whose key a request was sent with, and count the request against the rate limits.

    It counts a request once, however often it is called.

    Raises:
        Unauthorized: The request has no key, more than one, or none that is valid.
        AccountSuspended: The key's account is suspended.
        RateLimited: Too many requests with this key, or without a valid one from this address.
    """
    database, state = context.database, request.state
    known: Caller | None = getattr(state, "caller", None)
    if known is not None:
        return known
    try:
        api_key = _api_key(request)
        who = await database.run_read(
            partial(accounts.identify, database, context.secrets, api_key)
        )
    except (Unauthorized, AccountSuspended):
        # Counted by address only without a valid key, or clients could lock their neighbours out.
        address = request.client.host if request.client else ""
        logs.add_fields(address=address)
        limit = context.settings.rate_limit_per_minute
        await context.limits.take(rate_limits.neighbourhood(address), limit)
        raise
    state.caller = who
    state.allowance = await _count(context, who)
    if who.use_is_due:
        await run_in_threadpool(accounts.note_use, database, who)
    return who


async def _count(context: Context, who: Caller) -> Allowance | None:
    """Count a request of the key and of its account; return the smaller allowance."""
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


async def permitted(who: Annotated[Caller, Depends(caller)], needed: SecurityScopes) -> Caller:
    """Return the caller, whose key must have the scopes::

        Annotated[Caller, Security(permitted, scopes=[Scope.SPLITS_READ])]

    Raises:
        Forbidden: The key lacks a scope.
    """
    for scope in needed.scopes:
        who.require(Scope(scope))
    return who


async def body_limit(request: Request) -> int | None:
    """Authenticate a request to the API that has a body, and return the body's limit in bytes.

    Returns:
        None for the bytes of an upload, which are read piece by piece with limits of their own.

    Raises:
        Unauthorized, RateLimited: See :func:`authenticate`.
    """
    context: Context = request.app.state.context
    path = request.url.path
    if path.startswith(API):
        await authenticate(context, request)
        return context.settings.json_body_limit
    return EVENT_LIMIT if path.startswith(PAYMENTS) else None
