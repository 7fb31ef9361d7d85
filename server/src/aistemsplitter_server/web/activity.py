"""``/settings/activity``: the audit log of the person's account."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from aistemsplitter_server.accounts import queries as accounts
from aistemsplitter_server.audit import queries
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter()

PAGE = 50


@router.get("/settings/activity")
def show(
    request: Request,
    context: InContext,
    who: InSession,
    before: Annotated[str | None, Query(max_length=64)] = None,
) -> Response:
    """Show entries, newest first, without name and details of the operator's actions."""
    with context.database.read() as session:
        found = queries.page(session, who.account_id, before=before, limit=PAGE + 1)
        people = {person.id: person.email for person in accounts.people(session, who.account_id)}
        keys = {key.id: key.name or key.id for key in accounts.keys(session, who.account_id)}
    shown = found[:PAGE]
    return render(
        request,
        "activity.html",
        entries=shown,
        own={**people, **keys},
        older=shown[-1].id if len(found) > PAGE else None,
        paged=before is not None,
    )
