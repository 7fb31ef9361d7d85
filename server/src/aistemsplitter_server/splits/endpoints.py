"""``/v1/audio/splits``."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import unquote, urlsplit

from fastapi import APIRouter, Depends, Header, Query, Response
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.context import (
    Context,
    IdempotencyKey,
    InContext,
    InStorage,
    with_scope,
)
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.kit import ids, logs, outgoing
from aistemsplitter_server.kit.errors import (
    Conflict,
    Forbidden,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InsufficientCredits,
    ModelUnavailable,
    NotFound,
    ValidationFailed,
)
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.models import queries as model_queries
from aistemsplitter_server.models.service import serving
from aistemsplitter_server.splits import idempotency, queries, rendering, service, stream
from aistemsplitter_server.splits.schemas import (
    CreateSplit,
    Deleted,
    DirectUrl,
    Priority,
    SplitInfo,
    SplitJob,
    SplitPage,
    Status,
)
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.uploads import service as uploads
from aistemsplitter_server.uploads.tables import Upload

router = APIRouter(prefix="/v1/audio/splits", tags=["splits"])

Reader = Annotated[Caller, Depends(with_scope(Scope.SPLITS_READ))]
Writer = Annotated[Caller, Depends(with_scope(Scope.SPLITS_WRITE))]


@router.post(
    "",
    responses=errors(
        InsufficientCredits,
        NotFound,
        Conflict,
        IdempotencyInProgress,
        ModelUnavailable,
        ValidationFailed,
        IdempotencyMismatch,
    ),
)
def create_split(
    context: InContext,
    caller: Writer,
    request: CreateSplit,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Success[SplitJob]:
    """Split a song into its stems; the answer is there before the work begins."""
    fingerprint = idempotency.fingerprint(request)
    account_id = caller.account_id
    with idempotency.alone(account_id, idempotency_key):
        with context.database.read() as session:
            if idempotency_key is not None:
                answer = idempotency.remembered(session, account_id, idempotency_key, fingerprint)
                if answer is not None:
                    return _replayed(answer, response)
            source = _source(session, caller, request)
        if source is not None:
            source = context.measurements.measured(source)  # waits while it is
        with context.database.write() as session:
            if idempotency_key is not None:
                idempotency.hold(session, account_id, idempotency_key)
                answer = idempotency.remembered(session, account_id, idempotency_key, fingerprint)
                if answer is not None:
                    return _replayed(answer, response)
            job = _create(context, session, caller, request, source)
            if idempotency_key is not None:
                answer = job.model_dump(by_alias=True)
                idempotency.remember(session, account_id, idempotency_key, fingerprint, answer)
    logs.tell(split_id=job.id)
    return Success(data=job)


@router.get("")
def list_splits(
    context: InContext,
    storage: InStorage,
    caller: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(description="nextCursor of the page before")] = None,
    status: Status | None = None,
) -> Success[SplitPage]:
    """The account's splits, newest first."""
    before = None if cursor is None else ids.from_cursor("split", cursor)
    with context.database.read() as session:
        found = queries.page(
            session, caller.account_id, before=before, status=status, limit=limit + 1
        )
    shown = found[:limit]
    more = len(found) > limit
    items = [_shown(context, storage, split) for split in shown]
    next_cursor = ids.body(shown[-1].id) if more else None
    return Success(data=SplitPage(items=items, next_cursor=next_cursor))


@router.get("/{split_id}", responses=errors(NotFound))
async def get_split(
    context: InContext, storage: InStorage, caller: Reader, split_id: str
) -> Success[SplitInfo]:
    """A split as it stands."""

    def read() -> Split:
        with context.database.read() as session:
            return service.of_account(session, caller.account_id, split_id)

    split = await context.database.look(read)
    if context.positions.are_due(split):
        await run_in_threadpool(context.positions.count)
    return Success(data=_shown(context, storage, split))


@router.post("/{split_id}/cancel", responses=errors(NotFound, Conflict))
def cancel_split(
    context: InContext, storage: InStorage, caller: Writer, split_id: str
) -> Success[SplitInfo]:
    """Stop a split; its charge is given back."""
    with context.database.write() as session:
        split = service.of_account(session, caller.account_id, split_id, hold=True)
        service.cancel(session, split)
    return Success(data=_shown(context, storage, split))


@router.delete("/{split_id}", responses=errors(NotFound))
def delete_split(
    context: InContext, storage: InStorage, caller: Writer, split_id: str
) -> Success[Deleted]:
    """Delete a split's audio; one that has not ended is cancelled."""
    with context.database.write() as session:
        split = service.of_account(session, caller.account_id, split_id, hold=True)
        service.delete(session, split)
    storage.delete_prefix(keys.split(split_id))
    return Success(data=Deleted(id=split_id))


@router.get(
    "/{split_id}/events",
    response_class=stream.EventStream,
    responses=errors(NotFound) | {200: stream.DOCUMENTED},
)
def split_events(
    context: InContext,
    storage: InStorage,
    caller: Reader,
    split_id: str,
    last_event_id: Annotated[str | None, Header()] = None,
) -> stream.EventStream:
    """Follow a split: an event with the split in it for every change, until its end."""

    def read() -> tuple[int, str, bool] | None:
        with context.database.read() as session:
            if not accounts.is_good(session, caller.key_id):  # it was revoked meanwhile
                return None
            split = queries.of_account(session, caller.account_id, split_id)
        if split is None:
            return None
        shown = _shown(context, storage, split).model_dump_json(by_alias=True)
        return split.revision, shown, split.status in TERMINAL

    with context.database.read() as session:
        service.of_account(session, caller.account_id, split_id)
    seen = last_event_id or ""
    last_seen = int(seen) if seen.isdecimal() and len(seen) < 10 else None
    told = stream.events(read, context.changes, split_id, last_seen)
    return stream.EventStream(told, headers=stream.HEADERS)


def _create(
    context: Context, session: Session, caller: Caller, request: CreateSplit, source: Upload | None
) -> SplitJob:
    runs = serving(
        request.model,
        model_queries.installed(session),
        test=caller.is_test,
        demo=context.settings.demo,
    )
    split = service.create(
        session,
        caller,
        request,
        source=source,
        filename=source.filename if source else _filename(request),
        serving=runs,
        priority=_priority(caller, request),
    )
    return rendering.job(split)


def _source(session: Session, caller: Caller, request: CreateSplit) -> Upload | None:
    """The upload that is meant; None for a song to be fetched."""
    if request.webhook_url is not None:
        _checked(request.webhook_url, "webhookUrl")
    given = request.input
    if not isinstance(given, DirectUrl):
        return uploads.of_account(session, caller.account_id, given.upload_id)
    own = uploads.by_audio_url(session, caller.account_id, given.url)
    if own is None:
        _checked(given.url, "input.url")
    return own


def _checked(url: str, field: str) -> None:
    try:
        outgoing.check(url)
    except outgoing.NotAllowed as error:
        raise ValidationFailed([(field, str(error))]) from None


def _priority(caller: Caller, request: CreateSplit) -> Priority:
    if request.priority == "interactive" and caller.top_priority != "interactive":
        raise Forbidden("This API key may only ask for the priority batch.")
    return request.priority or caller.top_priority


def _filename(request: CreateSplit) -> str:
    """The last part of the URL's path, as a name to show."""
    assert isinstance(request.input, DirectUrl)
    return uploads.display_name(unquote(urlsplit(request.input.url).path))


def _shown(context: Context, storage: Storage, split: Split) -> SplitInfo:
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    return rendering.render(split, storage, lifetime, context.positions.of(split))


def _replayed(answer: dict[str, Any], response: Response) -> Success[SplitJob]:
    response.headers["Idempotency-Replayed"] = "true"
    return Success(data=SplitJob.model_validate(answer, by_alias=True))
