"""``/v1/audio/splits``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response, Security
from pydantic import AwareDatetime
from starlette.concurrency import run_in_threadpool

from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.api.pagination import Cursor, PageLimit, id_before
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.http.context import Context, IdempotencyKey, InContext, InStorage
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.errors import (
    Conflict,
    IdempotencyInProgress,
    IdempotencyMismatch,
    InsufficientCredits,
    LimitExceeded,
    ModelUnavailable,
    NotFound,
    ValidationFailed,
)
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.models.catalogue import NAMES, Model
from aistemsplitter_server.splits import (
    actions,
    analysis,
    creation,
    listing,
    queries,
    rendering,
    service,
    stream,
)
from aistemsplitter_server.splits.analysis import BeatGrid
from aistemsplitter_server.splits.listing import Filters
from aistemsplitter_server.splits.schemas import (
    CreateSplit,
    Deleted,
    SplitInfo,
    SplitJob,
    SplitPage,
    Status,
)
from aistemsplitter_server.splits.tables import TERMINAL, Split
from aistemsplitter_server.storage.interface import Storage

router = APIRouter(prefix="/v1/audio/splits", tags=["splits"])

Reader = Annotated[Caller, Security(permitted, scopes=[Scope.SPLITS_READ])]
Writer = Annotated[Caller, Security(permitted, scopes=[Scope.SPLITS_WRITE])]
CreatedAfter = Annotated[
    AwareDatetime | None,
    Query(alias="createdAfter", description="earliest time of creation, with its time zone"),
]
CreatedBefore = Annotated[
    AwareDatetime | None,
    Query(alias="createdBefore", description="first time of creation that is too late"),
]
ModelName = Annotated[
    str | None,
    Query(
        description="requested model; its aliases are included",
        json_schema_extra={"enum": [*NAMES]},
    ),
]
MOST_PAIRS = 10  # of metadata in a filter
PAIR = re.compile(r"metadata\[(.+)\]", re.DOTALL)
METADATA: dict[str, Any] = {
    "parameters": [
        {
            "name": "metadata",
            "in": "query",
            "description": "values that a split's metadata must have, as in `metadata[order]=1001`",
            "style": "deepObject",
            "explode": True,
            "schema": {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "maxProperties": MOST_PAIRS,
            },
        }
    ]
}


@router.post(
    "",
    responses=errors(
        InsufficientCredits,
        NotFound,
        Conflict,
        IdempotencyInProgress,
        LimitExceeded,
        ModelUnavailable,
        ValidationFailed,
        IdempotencyMismatch,
    ),
)
async def create_split(
    context: InContext,
    caller: Writer,
    request: CreateSplit,
    response: Response,
    idempotency_key: IdempotencyKey = None,
) -> Success[SplitJob]:
    """Split a song into its stems. The response is sent before the work begins."""
    job, replayed = await creation.create(
        context.database,
        context.settings,
        context.measurements,
        caller,
        request,
        idempotency_key,
    )
    if replayed:
        response.headers["Idempotency-Replayed"] = "true"
    return Success(data=job)


@router.get("", responses=errors(ValidationFailed), openapi_extra=METADATA)
def list_splits(
    context: InContext,
    storage: InStorage,
    caller: Reader,
    request: Request,
    limit: PageLimit = 20,
    cursor: Cursor = None,
    status: Status | None = None,
    created_after: CreatedAfter = None,
    created_before: CreatedBefore = None,
    model: ModelName = None,
) -> Success[SplitPage]:
    """Return the account's splits of the key's mode (test or live), newest first.

    With `model` or `metadata`, a page may have fewer splits than `limit`, even none, although more
    follow: continue until `nextCursor` is null.
    """
    filters = Filters(
        status=status,
        created_after=created_after,
        created_before=created_before,
        model=None if model is None else _model(model),
        metadata=_metadata(request),
    )
    with context.database.read() as session:
        page, oldest = listing.page(
            session,
            caller.account_id,
            filters,
            is_test=caller.is_test,
            before=id_before("split", cursor),
            limit=limit,
        )
    items = [_shown(context, storage, split) for split in page]
    next_cursor = None if oldest is None else ids.body(oldest)
    return Success(data=SplitPage(items=items, next_cursor=next_cursor))


@router.get("/{split_id}", responses=errors(NotFound))
async def get_split(
    context: InContext, storage: InStorage, caller: Reader, split_id: str
) -> Success[SplitInfo]:
    """Return a split."""

    def read() -> Split:
        with context.database.read() as session:
            return service.of_account(session, caller.account_id, split_id, is_test=caller.is_test)

    split = await context.database.run_read(read)
    if context.positions.are_due(split):
        await run_in_threadpool(context.positions.count)
    return Success(data=_shown(context, storage, split))


@router.get("/{split_id}/beats", responses=errors(NotFound, Conflict))
def get_beats(context: InContext, caller: Reader, split_id: str) -> Success[BeatGrid]:
    """Return all beats of a split's song, as they were found or corrected in the studio."""
    with context.database.read() as session:
        split = service.of_account(session, caller.account_id, split_id, is_test=caller.is_test)
        return Success(data=analysis.beat_grid(split))


@router.post("/{split_id}/cancel", responses=errors(NotFound, Conflict))
def cancel_split(
    context: InContext, storage: InStorage, caller: Writer, split_id: str
) -> Success[SplitInfo]:
    """Cancel a split and refund its charge."""
    with context.database.write() as session:
        split = service.of_account(
            session, caller.account_id, split_id, is_test=caller.is_test, lock=True
        )
        actions.cancel(session, split, caller.key_id)
    return Success(data=_shown(context, storage, split))


@router.delete("/{split_id}", responses=errors(NotFound))
def delete_split(
    context: InContext, storage: InStorage, caller: Writer, split_id: str
) -> Success[Deleted]:
    """Delete a split's audio and personal data. If it has not ended, it is cancelled first.

    Names, URLs and metadata are erased. Its id, its duration and the ledger stay.
    """
    audio_deleted = actions.delete(
        context.database,
        storage,
        caller.account_id,
        split_id,
        caller.key_id,
        is_test=caller.is_test,
    )
    return Success(data=Deleted(id=split_id, audio_deleted=audio_deleted))


@router.get(
    "/{split_id}/events",
    response_class=stream.EventStream,
    responses=errors(NotFound, LimitExceeded) | {200: stream.DOCUMENTED},
)
def split_events(
    context: InContext,
    storage: InStorage,
    caller: Reader,
    split_id: str,
    last_event_id: Annotated[str | None, Header()] = None,
) -> stream.EventStream:
    """Stream a split: an event with the split after every change, until it has ended."""

    def read() -> tuple[int, str, bool] | None:
        with context.database.read() as session:
            if not accounts.is_good(session, caller.key_id):  # the key was revoked in the meantime
                return None
            split = queries.of_account(session, caller.account_id, split_id, is_test=caller.is_test)
        if split is None:
            return None
        shown = _shown(context, storage, split).model_dump_json(by_alias=True)
        return split.revision, shown, split.status in TERMINAL

    with context.database.read() as session:
        service.of_account(session, caller.account_id, split_id, is_test=caller.is_test)
        allowed = limits_of(session, context.settings, caller.account_id)
    seen = last_event_id or ""
    last_seen = int(seen) if seen.isdecimal() and len(seen) < 10 else None
    events = stream.events(read, context.changes, split_id, last_seen)
    return stream.EventStream(events, context.streams.counted(caller.account_id, allowed))


def _model(name: str) -> Model:
    """Return the model of a name.

    Raises:
        ValidationFailed: No model has the name.
    """
    if name not in NAMES:
        raise ValidationFailed([("model", f"unknown model; choose one of {', '.join(NAMES)}")])
    return NAMES[name]


def _metadata(request: Request) -> dict[str, str]:
    """Return the metadata to look for, which FastAPI cannot parse.

    Raises:
        ValidationFailed: There is too much, or a NUL character, which no metadata has.
    """
    named = [(PAIR.fullmatch(name), value) for name, value in request.query_params.multi_items()]
    pairs = {found[1]: value for found, value in named if found}
    if len(pairs) > MOST_PAIRS:
        raise ValidationFailed([("metadata", f"has more than {MOST_PAIRS} keys")])
    if any("\0" in key + value for key, value in pairs.items()):
        raise ValidationFailed([("metadata", "contains a NUL character")])
    return pairs


def _shown(context: Context, storage: Storage, split: Split) -> SplitInfo:
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    positions = context.positions
    return rendering.render(
        split, storage, lifetime, positions.of(split), positions.warnings(split)
    )
