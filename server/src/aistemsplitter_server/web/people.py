"""``/settings/people``: the account's people and invitations."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from aistemsplitter_server.accounts import members, people, queries
from aistemsplitter_server.accounts.members import LastPerson
from aistemsplitter_server.accounts.sign_ins import SignedIn
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import BaseUrl, Context, InContext
from aistemsplitter_server.kit import times
from aistemsplitter_server.web import pages
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter(prefix="/settings/people")

HERE = router.prefix


class InviteForm(Form):
    """A note on whom the invitation is for."""

    note: str = Field("", max_length=100)


@router.get("")
def show(request: Request, context: InContext, who: InSession) -> Response:
    """Show the page."""
    return _page(request, context, who)


@router.post("/links")
def invite(
    request: Request,
    context: InContext,
    who: InSession,
    base_url: BaseUrl,
    form: Annotated[InviteForm, Depends(filled(InviteForm))],
) -> Response:
    """Create a one-time link and show it once."""
    with context.database.write() as session:
        token = people.link(session, context.secrets, who.account_id, note=form.note)
        audit.record(
            session, who.account_id, who.person_id, Action.PERSON_INVITED, note=form.note or None
        )
    return _page(request, context, who, link=f"{base_url}/join/{token}", status=201)


@router.post("/links/{link_id}/revoke")
def revoke(context: InContext, who: InSession, link_id: str) -> Response:
    """Revoke a one-time link."""
    with context.database.write() as session:
        members.revoke_link(session, who.account_id, link_id)
        audit.record(session, who.account_id, who.person_id, Action.LINK_REVOKED, link_id)
    return RedirectResponse(HERE, 303)


@router.post("/{person_id}/remove")
def remove(request: Request, context: InContext, who: InSession, person_id: str) -> Response:
    """Remove a person from the account. People can remove themselves, and are signed out then."""
    try:
        with context.database.write() as session:
            email = members.remove(session, who.account_id, person_id)
            audit.record(
                session,
                who.account_id,
                who.person_id,
                Action.PERSON_REMOVED,
                person_id,
                email=email,
            )
    except LastPerson:
        fault = pages.language_of(request)("people.last")
        return _page(request, context, who, fault=fault, status=409)
    return RedirectResponse(HERE, 303)


@router.post("/{person_id}/sign-out")
def sign_out(context: InContext, who: InSession, person_id: str) -> Response:
    """End all sessions of a person."""
    with context.database.write() as session:
        email = members.sign_out(session, who.account_id, person_id)
        audit.record(
            session,
            who.account_id,
            who.person_id,
            Action.SESSIONS_REVOKED,
            person_id,
            email=email,
        )
    return RedirectResponse(HERE, 303)


def _page(
    request: Request,
    context: Context,
    who: SignedIn,
    *,
    link: str | None = None,
    fault: str | None = None,
    status: int = 200,
) -> Response:
    with context.database.read() as session:
        return render(
            request,
            "people.html",
            status=status,
            people=queries.people(session, who.account_id),
            seen=queries.last_seen(session, who.account_id),
            links=queries.pending_links(session, who.account_id, times.now()),
            link=link,
            fault=fault,
        )
