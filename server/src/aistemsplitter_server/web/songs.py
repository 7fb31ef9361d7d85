"""Actions on one song of the studio: cancel, retry, keep, delete and download."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import StringConstraints

from aistemsplitter_server.http.context import Context, InContext, InStorage
from aistemsplitter_server.splits import actions, service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import zips
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import is_fragment, render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter(prefix="/studio/songs/{split_id}")

KEPT = "kept"  # id of the element that says how long a song is kept, on its page


@router.post("/cancel")
def cancel(request: Request, context: InContext, who: InSession, split_id: str) -> Response:
    """Cancel a split and refund its charge."""
    with context.database.write() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None, lock=True)
        actions.cancel(session, split, who.person_id)
    return _shown(request, context, who, split_id)


@router.post("/again")
def try_again(request: Request, context: InContext, who: InSession, split_id: str) -> Response:
    """Retry a failed split as a new one, only once however often the form is sent."""
    with context.database.write() as session:
        failed = service.of_account(session, who.account_id, split_id, is_test=None)
        made, is_new = actions.retry(session, context.settings, failed, who.person_id)
    if not is_new and is_fragment(request):
        return Response(headers={"HX-Refresh": "true"})  # its row may be on the page already
    return _shown(request, context, who, made.id)


@router.post("/keep")
def keep(request: Request, context: InContext, who: InSession, split_id: str) -> Response:
    """Put the deletion of a song's audio off."""
    with context.database.write() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None, lock=True)
        actions.keep(session, context.settings, split, who.person_id)
    if is_fragment(request) and request.headers.get("hx-target") == KEPT:
        return render(request, "song_kept.html", split=split, keep_days=context.settings.keep_days)
    if not is_fragment(request):
        return RedirectResponse(f"/studio/songs/{split_id}", 303)
    return _shown(request, context, who, split_id)


class RenameForm(Form):
    """A song's new title."""

    title: Annotated[str, StringConstraints(min_length=1, max_length=200)]


@router.post("/rename")
def rename(
    context: InContext,
    who: InSession,
    split_id: str,
    form: Annotated[RenameForm, Depends(filled(RenameForm))],
) -> Response:
    """Give a song another title."""
    with context.database.write() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None, lock=True)
        actions.rename(session, split, form.title, who.person_id)
    return RedirectResponse(f"/studio/songs/{split_id}", 303)


@router.post("/delete")
def delete(
    request: Request, context: InContext, storage: InStorage, who: InSession, split_id: str
) -> Response:
    """Delete a song's audio. Its charge stays in the ledger."""
    actions.delete(context.database, storage, who.account_id, split_id, who.person_id, is_test=None)
    if is_fragment(request):
        return Response()  # replaces the row
    return RedirectResponse("/studio", 303)


@router.get("/stems.zip")
def stems(context: InContext, storage: InStorage, who: InSession, split_id: str) -> Response:
    """Return all stems as one zip."""
    with context.database.read() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
    return zips.stems(split, storage, context.database)


def _shown(request: Request, context: InContext, who: InSession, split_id: str) -> Response:
    """Return the row to htmx, and redirect a plain form to the studio."""
    if not is_fragment(request):
        return RedirectResponse("/studio", 303)
    with context.database.read() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
    return row(request, context, split)


def row(request: Request, context: Context, split: Split) -> Response:
    """Return the song's row of the list."""
    return render(
        request,
        "song_row.html",
        split=split,
        position=context.positions.of(split),
        keep_days=context.settings.keep_days,
    )
