"""What can be done with one song of the studio: stop it, try it again, delete it, take it home."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.accounts.sign_ins import SignedIn
from aistemsplitter_server.api.context import Context, InContext, InStorage
from aistemsplitter_server.api.routes import splits
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.retries import retry_failed
from aistemsplitter_server.web import zips
from aistemsplitter_server.web.pages import is_fragment, render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter(prefix="/studio/songs/{split_id}")


@router.post("/cancel")
def cancel(
    request: Request, context: InContext, storage: InStorage, who: InSession, split_id: str
) -> Response:
    """Stop a split; its charge is given back."""
    splits.cancel_split(context, storage, _caller(context, who, split_id), split_id)
    return _shown(request, context, who, split_id)


@router.post("/again")
def try_again(request: Request, context: InContext, who: InSession, split_id: str) -> Response:
    """Try a failed split again, as a new one; once, however often the form is sent."""
    with context.database.write() as session:
        failed = service.of_account(session, who.account_id, split_id, is_test=None)
        made, is_new = retry_failed(session, context.settings, failed)
        if is_new:
            audit.record(
                session,
                who.account_id,
                who.person_id,
                Action.SPLIT_RETRIED,
                made.id,
                retry_of=split_id,
            )
    if not is_new and is_fragment(request):
        return Response(headers={"HX-Refresh": "true"})  # its row may be on the page already
    return _shown(request, context, who, made.id)


@router.post("/delete")
def delete(
    request: Request, context: InContext, storage: InStorage, who: InSession, split_id: str
) -> Response:
    """Delete a song's audio; what it cost stays in the ledger."""
    splits.delete_split(context, storage, _caller(context, who, split_id), split_id)
    if is_fragment(request):
        return Response()  # takes the place of the row
    return RedirectResponse("/studio", 303)


@router.get("/stems.zip")
def stems(context: InContext, storage: InStorage, who: InSession, split_id: str) -> Response:
    """All stems in one file."""
    with context.database.read() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
    return zips.stems(split, storage, context.database)


def _caller(context: Context, who: SignedIn, split_id: str) -> Caller:
    """Return what the person is to the API, in the mode of this song: people may change both."""
    with context.database.read() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
    return replace(who.caller, is_test=split.is_test)


def _shown(request: Request, context: InContext, who: InSession, split_id: str) -> Response:
    """For htmx the row, for a plain form the studio."""
    if not is_fragment(request):
        return RedirectResponse("/studio", 303)
    with context.database.read() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
    position = context.positions.of(split)
    return render(request, "song_row.html", split=split, position=position)
