"""What endpoints are given: the database, and whose key the request came with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Request

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Unauthorized
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """What one process holds for all its requests."""

    settings: Settings
    database: Database
    secrets: Secrets


def _context(request: Request) -> Context:
    return cast(Context, request.app.state.context)


InContext = Annotated[Context, Depends(_context)]


def caller(context: InContext, request: Request) -> Caller:
    """Whose key it is.

    Raises:
        Unauthorized: no key, more than one, or none that is good.
    """
    headers = request.headers.getlist("authorization")
    if len(headers) != 1:
        raise Unauthorized
    scheme, _, api_key = headers[0].partition(" ")
    if scheme.lower() != "bearer":
        raise Unauthorized
    return accounts.authenticate(context.database, context.secrets, api_key.strip())


def with_scope(scope: Scope) -> Callable[..., Caller]:
    """A dependency: the caller, whose key must have the scope."""

    def allowed(who: Annotated[Caller, Depends(caller)]) -> Caller:
        who.require(scope)
        return who

    return allowed
