"""``/v1/webhooks/deliveries``: the log of an account's webhooks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Security

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.api.pagination import Cursor, PageLimit, cut, id_before
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.webhooks import queries, schemas, service
from aistemsplitter_server.webhooks.schemas import (
    DeliveryDetail,
    DeliveryInfo,
    DeliveryPage,
    State,
)

router = APIRouter(prefix="/v1/webhooks/deliveries", tags=["webhooks"])

Reader = Annotated[Caller, Security(permitted, scopes=[Scope.WEBHOOKS_READ])]
Writer = Annotated[Caller, Security(permitted, scopes=[Scope.WEBHOOKS_WRITE])]


@router.get("")
def list_deliveries(
    context: InContext,
    caller: Reader,
    limit: PageLimit = 20,
    cursor: Cursor = None,
    state: State | None = None,
) -> Success[DeliveryPage]:
    """Return the account's deliveries, newest first."""
    with context.database.read() as session:
        found = queries.page(
            session,
            caller.account_id,
            is_test=caller.is_test,
            before=id_before("dlv", cursor),
            state=state,
            limit=limit + 1,
        )
    page, next_cursor = cut(found, limit, lambda row: row[0].id)
    items = [schemas.shown(*row) for row in page]
    return Success(data=DeliveryPage(items=items, next_cursor=next_cursor))


@router.get("/{delivery_id}", responses=errors(NotFound))
def get_delivery(context: InContext, caller: Reader, delivery_id: str) -> Success[DeliveryDetail]:
    """Return a delivery with all its attempts."""
    with context.database.read() as session:
        delivery, event = service.known(
            session, caller.account_id, delivery_id, is_test=caller.is_test
        )
        attempts = queries.attempts(session, delivery.id)
    return Success(data=schemas.shown_with_log(delivery, event, attempts))


@router.post("/{delivery_id}/replay", responses=errors(NotFound, Conflict))
def replay_delivery(context: InContext, caller: Writer, delivery_id: str) -> Success[DeliveryInfo]:
    """Deliver the same event again, as a new delivery. The event keeps its id."""
    with context.database.write() as session:
        delivery, event = service.replay(
            session, caller.account_id, delivery_id, is_test=caller.is_test
        )
        audit.record(
            session,
            caller.account_id,
            caller.key_id,
            Action.WEBHOOK_REPLAYED,
            delivery.id,
            replay_of=delivery_id,
        )
    return Success(data=schemas.shown(delivery, event))
