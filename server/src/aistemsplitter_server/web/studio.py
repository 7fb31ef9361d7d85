"""``/studio``: a place to drop in songs, and all that was split before."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter(prefix="/studio")


@router.get("")
def studio(request: Request, _who: InSession) -> Response:
    """The page."""
    return render(request, "studio.html")
