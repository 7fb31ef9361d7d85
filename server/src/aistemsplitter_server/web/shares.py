"""Share links: created on a song's page, opened by anyone until they expire."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import BeforeValidator

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import BaseUrl, Context, InContext, InStorage
from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import queries, service, sharing
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import zips
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import is_fragment, render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter()

DAYS = (1, 7, 30)
USUAL = 7


class ShareForm(Form):
    """Days that the link works; with 0, it works until the audio is due to be deleted."""

    days: Annotated[Literal[0, 1, 7, 30], BeforeValidator(int)] = 0


@router.post("/studio/songs/{split_id}/share")
def share(
    request: Request,
    context: InContext,
    base_url: BaseUrl,
    who: InSession,
    split_id: str,
    form: Annotated[ShareForm, Depends(filled(ShareForm))],
) -> Response:
    """Create a share link, which the song's page shows."""
    lifetime = timedelta(days=form.days) if form.days else None
    with context.database.write() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
        row = sharing.share(session, context.secrets, split, lifetime)
        audit.record(
            session,
            who.account_id,
            who.person_id,
            Action.SHARE_CREATED,
            row.id,
            split=split.id,
            days=form.days or None,
        )
    return _shown(request, context, base_url, split, new=row.id)


@router.post("/studio/shares/{share_id}/revoke")
def revoke(
    request: Request, context: InContext, base_url: BaseUrl, who: InSession, share_id: str
) -> Response:
    """Revoke a share link at once."""
    with context.database.write() as session:
        split_id = sharing.revoke(session, who.account_id, share_id).split_id
        audit.record(
            session, who.account_id, who.person_id, Action.SHARE_REVOKED, share_id, split=split_id
        )
        split = service.of_account(session, who.account_id, split_id, is_test=None)
    return _shown(request, context, base_url, split)


@router.get("/shared/{token}/stems.zip")
def stems(context: InContext, storage: InStorage, token: str) -> Response:
    """Return all stems as one zip to anyone who has the link."""
    with context.database.read() as session:
        _, split = sharing.shared(session, context.secrets, token)
    return zips.stems(split, storage, context.database)


def controls(
    context: Context, base_url: str, split: Split, new: str | None = None
) -> dict[str, Any]:
    """Return the values for ``share.html``.

    Args:
        new: The id of the link that was just created.
    """
    now = times.now()
    with context.database.read() as session:
        rows = queries.shares(session, split.id, now)
    addresses = [f"{base_url}/shared/{sharing.token(context.secrets, row)}" for row in rows]
    left = (split.expires_at or now) - now
    days = [each for each in DAYS if timedelta(days=each) < left]
    return {
        "shares": list(zip(addresses, rows, strict=True)),
        "share_days": days,
        "usual_days": USUAL if USUAL in days else 0,
        "new_share": new,
    }


def _shown(
    request: Request, context: Context, base_url: str, split: Split, new: str | None = None
) -> Response:
    """Return the section to htmx, and redirect a plain form to the song's page."""
    if not is_fragment(request):
        return RedirectResponse(f"/studio/songs/{split.id}#share", 303)
    return render(request, "share.html", split=split, **controls(context, base_url, split, new=new))
