"""Share links: created on a song's page, opened by anyone until they expire."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Response
from fastapi.responses import RedirectResponse
from pydantic import BeforeValidator

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import Context, InContext, InStorage
from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import queries, service, sharing
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.web import zips
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.sessions import InSession

router = APIRouter()

DAYS = (1, 7, 30)


class ShareForm(Form):
    """How long the link works."""

    days: Annotated[Literal[1, 7, 30], BeforeValidator(int)] = 7


@router.post("/studio/songs/{split_id}/share")
def share(
    context: InContext,
    who: InSession,
    split_id: str,
    form: Annotated[ShareForm, Depends(filled(ShareForm))],
) -> Response:
    """Create a share link, which the song's page shows."""
    with context.database.write() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
        row = sharing.share(session, context.secrets, split, timedelta(days=form.days))
        audit.record(
            session,
            who.account_id,
            who.person_id,
            Action.SHARE_CREATED,
            row.id,
            split=split.id,
            days=form.days,
        )
    return RedirectResponse(f"/studio/songs/{split_id}#share", 303)


@router.post("/studio/shares/{share_id}/revoke")
def revoke(context: InContext, who: InSession, share_id: str) -> Response:
    """Revoke a share link at once."""
    with context.database.write() as session:
        split_id = sharing.revoke(session, who.account_id, share_id).split_id
        audit.record(
            session, who.account_id, who.person_id, Action.SHARE_REVOKED, share_id, split=split_id
        )
    return RedirectResponse(f"/studio/songs/{split_id}#share", 303)


@router.get("/shared/{token}/stems.zip")
def stems(context: InContext, storage: InStorage, token: str) -> Response:
    """Return all stems as one zip to anyone who has the link."""
    with context.database.read() as session:
        _, split = sharing.shared(session, context.secrets, token)
    return zips.stems(split, storage, context.database)


def controls(context: Context, base_url: str, split: Split) -> dict[str, Any]:
    """Return the values for ``song_controls.html``."""
    with context.database.read() as session:
        rows = queries.shares(session, split.id, times.now())
    addresses = [f"{base_url}/shared/{sharing.token(context.secrets, row)}" for row in rows]
    return {"shares": list(zip(addresses, rows, strict=True)), "share_days": DAYS}
