"""``/studio``: the page where songs are added, and the list of all splits."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Literal, get_args

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts import sign_ins
from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.http.context import (
    BaseUrl,
    Context,
    IdempotencyKey,
    InContext,
    InStorage,
)
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.errors import ModelUnavailable, ValidationFailed
from aistemsplitter_server.kit.schemas import Request as Body
from aistemsplitter_server.kit.schemas import Response as Answer
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.models.catalogue import MODELS, Model
from aistemsplitter_server.models.service import serving
from aistemsplitter_server.operations import grants
from aistemsplitter_server.splits import (
    actions,
    creation,
    deletion_queries,
    queries,
    service,
    speeds,
    stream,
)
from aistemsplitter_server.splits.schemas import CreateSplit, OutputFormat
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.uploads import reservations
from aistemsplitter_server.uploads.schemas import Reservation, ReserveUpload
from aistemsplitter_server.web import guard, live, songs
from aistemsplitter_server.web.pages import is_fragment, render
from aistemsplitter_server.web.sessions import InSession, Operator

router = APIRouter(prefix="/studio")

PAGE = 20  # songs per page
REMINDED = timedelta(hours=24)  # before songs are deleted
MOST_EXPIRING = 1000  # songs that are counted and kept at once
WATCHED = 60  # songs whose changes a page can follow
REASON = "added in the studio"  # of a grant


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as the page offers it."""

    model: Model
    served_by: str | None  # None if it cannot run here
    speed: float | None  # recent seconds of audio per second


class GrantMinutes(Body):
    """Minutes that the operator adds to her own account."""

    minutes: int = Field(ge=1, le=grants.MOST_MINUTES)
    entry: grants.EntryId


class Granted(Answer):
    """The new balance, and the id of the next grant's entry, so that each is made once."""

    balance: int  # seconds
    next_entry: str


class Begun(Answer):
    """A new split, and its row in the list."""

    id: str
    html: str


@router.get("")
def studio(
    request: Request,
    context: InContext,
    who: InSession,
    q: Annotated[str, Query(max_length=200)] = "",
    before: Annotated[str | None, Query(max_length=26)] = None,
    mode: Literal["live", "test"] = "live",
) -> Response:
    """Show the page, or to htmx only its songs. Splits of test keys are listed apart."""
    last = None if before is None else ids.from_cursor("split", before)
    with context.database.read() as session:
        whose, is_test = who.account_id, mode == "test"
        if text := q.strip():
            shown, older = queries.search(
                session, whose, text, is_test=is_test, before=last, limit=PAGE
            )
        else:
            found = queries.page(session, whose, is_test=is_test, before=last, limit=PAGE + 1)
            shown, older = found[:PAGE], found[PAGE - 1].id if len(found) > PAGE else None
        listed: dict[str, Any] = {
            "songs": [(split, context.positions.of(split)) for split in shown],
            "q": q,
            "mode": mode,
            "following": ids.body(older) if older else None,
            "searched": queries.SEARCHED,
            "keep_days": context.settings.keep_days,
        }
        if is_fragment(request):
            return render(request, "songs.html", **listed)
        offers = _offers(session, context)
        balance = credits.balance(session, who.account_id)
        now = times.now()
        expiring = deletion_queries.count_expiring(
            session, who.account_id, now, now + REMINDED, MOST_EXPIRING
        )
    _allow_direct_uploads(request, context)
    return render(
        request,
        "studio.html",
        expiring=expiring,
        offers=offers,
        chosen=next((offer.model.name for offer in offers if offer.served_by), None),
        formats=get_args(OutputFormat),
        balance=balance,
        limit=context.settings.upload_limit,
        longest=context.settings.max_duration_seconds,
        are_packs_sold=context.payments is not None,
        new_entry=ids.new("ent"),
        **listed,
    )


def _allow_direct_uploads(request: Request, context: Context) -> None:
    """Let the page send songs to the bucket."""
    if context.settings.public_url is not None and (uploads := context.storage.direct()):
        guard.allow(request, "connect-src", uploads.origin())


@router.post("/uploads")
def reserve(
    context: InContext,
    storage: InStorage,
    base_url: BaseUrl,
    who: InSession,
    body: ReserveUpload,
    direct_upload: Annotated[bool, Header()] = False,
) -> Success[Reservation]:
    """Reserve an upload. Its bytes are sent as through the API.

    A bucket answers scripts of our pages only if its rules name their origin, which is PUBLIC_URL.
    """
    made = reservations.reserve(
        context.database,
        context.settings,
        context.secrets,
        who.caller,
        body,
        storage=storage,
        base_url=base_url,
        stored_bytes=queries.stored_bytes,
        direct=direct_upload and context.settings.public_url is not None,
    )
    return Success(data=made)


@router.post("/splits")
async def split(
    request: Request,
    context: InContext,
    who: InSession,
    body: CreateSplit,
    idempotency_key: IdempotencyKey = None,
) -> Success[Begun]:
    """Split a song. With an idempotency key that was used before, it is the same split."""
    if body.output is not None:
        raise ValidationFailed([("output", "needs an API key")])
    if body.webhook_url is not None:
        raise ValidationFailed([("webhookUrl", "needs an API key, whose secret signs")])
    job, _ = await creation.create(
        context.database,
        context.settings,
        context.measurements,
        who.caller,
        body,
        idempotency_key,
    )
    return await run_in_threadpool(_begun, request, context, who, job.id)


def _begun(
    request: Request, context: Context, who: sign_ins.SignedIn, split_id: str
) -> Success[Begun]:
    with context.database.read() as session:
        made = service.of_account(session, who.account_id, split_id, is_test=False)
    return Success(data=Begun(id=split_id, html=_row(request, context, made)))


@router.post("/keep")
def keep_expiring(context: InContext, who: InSession) -> Response:
    """Keep all songs that the page's reminder counts."""
    with context.database.write() as session:
        now = times.now()
        for split in deletion_queries.expiring_locked(
            session, who.account_id, now, now + REMINDED, MOST_EXPIRING
        ):
            actions.keep(session, context.settings, split, who.person_id)
    return RedirectResponse("/studio", 303)


@router.post("/minutes")
def grant(context: InContext, who: Operator, body: GrantMinutes) -> Success[Granted]:
    """Add minutes to the operator's own account."""
    with context.database.write() as session:
        grants.book(
            session,
            who.account_id,
            body.minutes * 60,
            REASON,
            who.person_id,
            entry_id=body.entry,
        )
        balance = credits.balance(session, who.account_id)
    return Success(data=Granted(balance=balance, next_entry=ids.new("ent")))


@router.get("/events")
def events(
    request: Request,
    context: InContext,
    who: InSession,
    wanted: Annotated[list[str], Query(alias="id", max_length=WATCHED)],
) -> stream.EventStream:
    """Stream changes of the account's songs, while the person is signed in."""

    def read() -> live.Songs | None:
        with context.database.read() as session:
            if not sign_ins.lasts(session, who.sign_in_id):
                return None
            found = queries.of_account_all(session, who.account_id, wanted)
            balance = credits.balance(session, who.account_id)
        rows = {
            split.id: live.Row(
                split.revision, _row(request, context, split), split.status in TERMINAL
            )
            for split in found
        }
        return live.Songs(rows, balance)

    with context.database.read() as session:
        allowed = limits_of(session, context.settings, who.account_id)
    place = context.streams.counted(who.account_id, allowed)
    return stream.EventStream(live.rows(read, context.changes), place)


def _row(request: Request, context: Context, split: Split) -> str:
    return bytes(songs.row(request, context, split).body).decode()


def _offers(session: Session, context: Context) -> list[Offer]:
    installed, known = models.installed(session), speeds.recent(session)
    offers = []
    for model in MODELS:
        try:
            runs = serving(model, installed, test=False, demo=context.settings.demo).model.name
        except ModelUnavailable:
            offers.append(Offer(model, None, None))
        else:
            offers.append(Offer(model, runs, known.get(runs)))
    return offers
