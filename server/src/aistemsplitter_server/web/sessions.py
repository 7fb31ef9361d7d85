"""Sessions: who a request to a page comes from, by its cookie.

An endpoint takes ``who: InSession`` where a person must be signed in, ``Operator`` where it must be
the service's operator, and ``Visitor`` where it can be anyone.
"""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Request, Response
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts import sign_ins
from aistemsplitter_server.accounts.sign_ins import SignedIn
from aistemsplitter_server.http.context import Context, InContext
from aistemsplitter_server.kit.errors import AccountSuspended, NotFound

STRANGERS_LIMIT = 1 << 14  # bytes; the longest form for visitors, to sign in, has 5,000
COOKIE = "__Host-session"  # browsers accept a cookie of this name only if it is secure


class SignInNeeded(Exception):
    """Nobody is signed in."""


def read(request: Request, context: InContext) -> SignedIn | None:
    """Return who is signed in, if anyone. Looked up once for each request."""
    if hasattr(request.state, "signed_in"):
        return cast(SignedIn | None, request.state.signed_in)
    request.state.signed_in = None
    token = request.cookies.get(COOKIE)
    if not token:
        return None
    with context.database.read() as session:
        who = sign_ins.of(session, context.secrets, token)
    if who is not None and who.seen_is_due:
        with context.database.write() as session:
            sign_ins.note_seen(session, who.sign_in_id)
    request.state.signed_in = who
    request.state.caller = who and who.caller  # for the log
    return who


Visitor = Annotated[SignedIn | None, Depends(read)]


def _required(request: Request, who: Visitor, context: InContext) -> SignedIn:
    if who is None:
        raise SignInNeeded
    _count(request, who, context)
    if who.is_suspended:
        raise AccountSuspended
    return who


def _count(request: Request, who: SignedIn, context: Context) -> None:
    """Count a request once. A person may make as many per minute as a key."""
    if not getattr(request.state, "counted", False):
        request.state.counted = True
        limit = context.settings.rate_limit_per_minute
        context.limits.take_blocking(who.person_id, limit)


async def body_limit(request: Request) -> int:
    """Return the limit of a request's body in bytes, which is low if nobody is signed in.

    Raises:
        RateLimited: The person has sent too many requests.
    """
    context: Context = request.app.state.context
    who = await run_in_threadpool(read, request, context)
    if who is None:
        return STRANGERS_LIMIT
    await run_in_threadpool(_count, request, who, context)
    return context.settings.json_body_limit


InSession = Annotated[SignedIn, Depends(_required)]


def _operator(who: InSession) -> SignedIn:
    if not who.is_owner:
        raise NotFound  # do not reveal that there is such a page
    return who


Operator = Annotated[SignedIn, Depends(_operator)]


def begin(context: Context, request: Request, response: Response, token: str) -> None:
    """Set the session cookie, and end the browser's previous sign-in."""
    end(context, request)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(sign_ins.LIFETIME.total_seconds()),
        secure=True,
        httponly=True,
        samesite="lax",
    )


def end(context: Context, request: Request) -> None:
    """End the sign-in that the request was sent with."""
    token = request.cookies.get(COOKIE)
    if token:
        with context.database.write() as session:
            sign_ins.end(session, context.secrets, token)


def forget(response: Response) -> None:
    """Delete the session cookie."""
    response.delete_cookie(COOKIE, secure=True, httponly=True, samesite="lax")
