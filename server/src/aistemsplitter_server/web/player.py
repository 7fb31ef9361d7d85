"""The player's pages: a song's own page, and the one that a share link leads to."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from aistemsplitter_server.http.context import BaseUrl, Context, InContext, InStorage
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.splits import analysis, player, remembering, rendering, service, sharing
from aistemsplitter_server.splits.tables import Share, Split
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.web import guard, shares
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import InSession, Visitor

router = APIRouter()


@router.get("/studio/songs/{split_id}")
def song(
    request: Request,
    context: InContext,
    base_url: BaseUrl,
    storage: InStorage,
    who: InSession,
    split_id: str,
) -> Response:
    """Show a song's page, whatever its state."""
    with context.database.read() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
    return _page(
        request,
        "song.html",
        storage,
        split,
        _lifetime(context),
        is_own=True,
        position=context.positions.of(split),
        keep_days=context.settings.keep_days,
        **shares.controls(context, base_url, split),
    )


@router.get("/studio/songs/{split_id}/player.json")
def song_data(context: InContext, storage: InStorage, who: InSession, split_id: str) -> Response:
    """Return the JSON for the player, with what the person has set on the song before."""
    with context.database.read() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
        state = remembering.of(session, who.person_id, split_id)
        beats = split.grid
    return _data(context, storage, split, _lifetime(context), grid=beats, remembered=state)


@router.post("/studio/songs/{split_id}/player-state")
def remember(
    context: InContext, who: InSession, split_id: str, state: remembering.State
) -> Success[None]:
    """Remember what the person has set on a song."""
    with context.database.write() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None)
        remembering.save(session, who.person_id, split, state)
    return Success(data=None)


@router.post("/studio/songs/{split_id}/grid")
def correct_beats(
    context: InContext, who: InSession, split_id: str, grid: analysis.Grid
) -> Success[None]:
    """Replace the beats of a song by what a person has corrected."""
    with context.database.write() as session:
        split = service.of_account(session, who.account_id, split_id, is_test=None, lock=True)
        player.check_stems(split, times.now())
        analysis.set_grid(split, grid)
        service.touch(split)
    return Success(data=None)


@router.get("/shared/{token}")
def shared(
    request: Request, context: InContext, storage: InStorage, _who: Visitor, token: str
) -> Response:
    """Show the shared page to anyone who has the link."""
    with context.database.read() as session:
        share, split = sharing.shared(session, context.secrets, token)
    lifetime = _lifetime_of(share, context)
    return _page(request, "shared.html", storage, split, lifetime, share=share, is_own=False)


@router.get("/shared/{token}/player.json")
def shared_song_data(context: InContext, storage: InStorage, token: str) -> Response:
    """Return the JSON for the player of a shared page."""
    with context.database.read() as session:
        share, split = sharing.shared(session, context.secrets, token)
        beats = split.grid
    return _data(context, storage, split, _lifetime_of(share, context), grid=beats)


def _page(
    request: Request,
    template: str,
    storage: Storage,
    split: Split,
    lifetime: timedelta,
    **more: Any,
) -> Response:
    there = split.can_be_heard(times.now())
    if there:  # the time-stretching code is WebAssembly, compiled in the browser
        guard.allow(request, "script-src", "'wasm-unsafe-eval'")
    return render(
        request,
        template,
        split=split,
        is_there=there,
        title=rendering.title(split),
        downloads=rendering.stems(split, storage, lifetime) if there else {},
        **more,
    )


def _data(
    context: Context, storage: Storage, split: Split, lifetime: timedelta, **more: Any
) -> Response:
    found = player.data(context.database, storage, split, lifetime) | more
    return JSONResponse(found, headers={"Cache-Control": "no-store"})


def _lifetime(context: Context) -> timedelta:
    return timedelta(seconds=context.settings.download_url_seconds)


def _lifetime_of(share: Share, context: Context) -> timedelta:
    """Return how long URLs on a shared page work: about as long as the link at most."""
    return min(_lifetime(context), max(share.expires_at - times.now(), timedelta(minutes=1)))
