"""``/v1/events``: what webhooks receive, for clients that have missed it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Query, Security

from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.api.pagination import Cursor, PageLimit, cut, id_before
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import InContext, InStorage
from aistemsplitter_server.kit.errors import Conflict, NotFound, ValidationFailed
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.splits import payloads
from aistemsplitter_server.splits.schemas import EventPage, WebhookEvent
from aistemsplitter_server.webhooks import queries, schemas, service
from aistemsplitter_server.webhooks.schemas import DeliveryInfo, Redeliver
from aistemsplitter_server.webhooks.tables import EventType

router = APIRouter(prefix="/v1/events", tags=["webhooks"])

# An event has the stems of its split.
Reader = Annotated[Caller, Security(permitted, scopes=[Scope.WEBHOOKS_READ, Scope.SPLITS_READ])]
Writer = Annotated[Caller, Security(permitted, scopes=[Scope.WEBHOOKS_WRITE])]
Kind = Annotated[EventType | None, Query(alias="type", description="only events of this type")]


@router.get("", responses=errors(ValidationFailed))
def list_events(
    context: InContext,
    storage: InStorage,
    caller: Reader,
    limit: PageLimit = 20,
    cursor: Cursor = None,
    kind: Kind = None,
) -> Success[EventPage]:
    """Return the events of the key's mode (test or live), newest first, of at least 30 days.

    There is one for each split that has ended, whether it was delivered anywhere or not.
    """
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    with context.database.read() as session:
        found = queries.events(
            session,
            caller.account_id,
            is_test=caller.is_test,
            before=id_before("evt", cursor),
            kind=kind,
            limit=limit + 1,
        )
        page, next_cursor = cut(found, limit, lambda event: event.id)
        items = payloads.render_all(session, page, storage, lifetime)
    return Success(data=EventPage(items=items, next_cursor=next_cursor))


@router.get("/{event_id}", responses=errors(NotFound))
def get_event(
    context: InContext, storage: InStorage, caller: Reader, event_id: str
) -> Success[WebhookEvent]:
    """Return an event as it is delivered, with its split as it is now."""
    lifetime = timedelta(seconds=context.settings.download_url_seconds)
    with context.database.read() as session:
        event = service.known_event(session, caller.account_id, event_id, is_test=caller.is_test)
        shown = payloads.render(session, event, storage, lifetime)
    return Success(data=shown)


@router.post("/{event_id}/redeliver", responses=errors(NotFound, Conflict))
def redeliver_event(
    context: InContext, caller: Writer, event_id: str, request: Redeliver | None = None
) -> Success[list[DeliveryInfo]]:
    """Deliver an event again, with the same id, and return the new deliveries.

    It goes to the split's own URL, and to each enabled endpoint that receives such events now.
    """
    endpoint_id = None if request is None else request.endpoint_id
    with context.database.write() as session:
        event = service.known_event(
            session, caller.account_id, event_id, is_test=caller.is_test, lock=True
        )
        payloads.require_split(session, event)
        made = service.redeliver(session, event, endpoint_id)
        audit.record(
            session,
            caller.account_id,
            caller.key_id,
            Action.EVENT_REDELIVERED,
            event.id,
            deliveries=len(made),
        )
    return Success(data=[schemas.shown(delivery, event) for delivery in made])
