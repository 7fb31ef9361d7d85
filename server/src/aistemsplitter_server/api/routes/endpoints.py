"""``/v1/webhooks/endpoints``: the URLs that receive an account's events."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Security

from aistemsplitter_server.accounts import webhook_secrets
from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.service import Caller
from aistemsplitter_server.api.authentication import permitted
from aistemsplitter_server.api.pagination import Cursor, PageLimit, cut, id_before
from aistemsplitter_server.api.responses import errors
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.http.context import InContext
from aistemsplitter_server.kit.errors import Conflict, LimitExceeded, NotFound, ValidationFailed
from aistemsplitter_server.kit.schemas import Success
from aistemsplitter_server.webhooks import endpoints, queries, schemas
from aistemsplitter_server.webhooks.schemas import (
    CreateEndpoint,
    DeletedEndpoint,
    EndpointInfo,
    EndpointPage,
    EndpointSecret,
    UpdateEndpoint,
)

router = APIRouter(prefix="/v1/webhooks/endpoints", tags=["webhooks"])

Reader = Annotated[Caller, Security(permitted, scopes=[Scope.WEBHOOKS_READ])]
Writer = Annotated[Caller, Security(permitted, scopes=[Scope.WEBHOOKS_WRITE])]
# An endpoint receives the stems of all splits, so choosing its URL takes the right to read them.
Chooser = Annotated[Caller, Security(permitted, scopes=[Scope.WEBHOOKS_WRITE, Scope.SPLITS_READ])]


@router.post("", responses=errors(Conflict, LimitExceeded, ValidationFailed))
def create_webhook_endpoint(
    context: InContext, caller: Chooser, request: CreateEndpoint
) -> Success[EndpointSecret]:
    """Create an endpoint: a URL that receives the events of all splits of the key's mode.

    The response has the secret that signs its deliveries. It is shown only once.
    """
    with context.database.write() as session:
        endpoint, secret = endpoints.create(
            session,
            context.secrets,
            limits_of(session, context.settings, caller.account_id),
            caller.account_id,
            is_test=caller.is_test,
            url=request.url,
            events=request.wanted,
            description=request.description,
        )
        audit.record(
            session,
            caller.account_id,
            caller.key_id,
            Action.ENDPOINT_CREATED,
            endpoint.id,
            host=urlsplit(endpoint.url).hostname,
        )
    return Success(data=schemas.shown_with_secret(endpoint, secret))


@router.get("", responses=errors(ValidationFailed))
def list_webhook_endpoints(
    context: InContext, caller: Reader, limit: PageLimit = 20, cursor: Cursor = None
) -> Success[EndpointPage]:
    """Return the account's endpoints of the key's mode (test or live), newest first."""
    with context.database.read() as session:
        found = queries.endpoints(
            session,
            caller.account_id,
            is_test=caller.is_test,
            before=id_before("whe", cursor),
            limit=limit + 1,
        )
    page, next_cursor = cut(found, limit, lambda endpoint: endpoint.id)
    items = [schemas.shown_endpoint(endpoint) for endpoint in page]
    return Success(data=EndpointPage(items=items, next_cursor=next_cursor))


@router.get("/{endpoint_id}", responses=errors(NotFound))
def get_webhook_endpoint(
    context: InContext, caller: Reader, endpoint_id: str
) -> Success[EndpointInfo]:
    """Return an endpoint."""
    with context.database.read() as session:
        endpoint = endpoints.known(session, caller.account_id, endpoint_id, is_test=caller.is_test)
    return Success(data=schemas.shown_endpoint(endpoint))


@router.patch("/{endpoint_id}", responses=errors(NotFound, Conflict, ValidationFailed))
def update_webhook_endpoint(
    context: InContext, caller: Chooser, endpoint_id: str, request: UpdateEndpoint
) -> Success[EndpointInfo]:
    """Change an endpoint, disable it, or enable it again.

    Deliveries to a disabled endpoint fail at once. An event can be redelivered later.
    """
    changes = request.model_dump(exclude_none=True)
    with context.database.write() as session:
        endpoint = endpoints.known(
            session, caller.account_id, endpoint_id, is_test=caller.is_test, lock=True
        )
        if changes:
            endpoints.update(session, endpoint, **changes)
            audit.record(
                session,
                caller.account_id,
                caller.key_id,
                Action.ENDPOINT_CHANGED,
                endpoint.id,
                host=urlsplit(endpoint.url).hostname,
                disabled=request.disabled,
            )
    return Success(data=schemas.shown_endpoint(endpoint))


@router.delete("/{endpoint_id}", responses=errors(NotFound))
def delete_webhook_endpoint(
    context: InContext, caller: Writer, endpoint_id: str
) -> Success[DeletedEndpoint]:
    """Delete an endpoint. Its pending deliveries fail."""
    with context.database.write() as session:
        endpoint = endpoints.known(
            session, caller.account_id, endpoint_id, is_test=caller.is_test, lock=True
        )
        endpoints.delete(session, endpoint)
        audit.record(
            session, caller.account_id, caller.key_id, Action.ENDPOINT_DELETED, endpoint_id
        )
    return Success(data=DeletedEndpoint(id=endpoint_id))


@router.post("/{endpoint_id}/rotate-secret", responses=errors(NotFound))
def rotate_webhook_secret(
    context: InContext, caller: Writer, endpoint_id: str
) -> Success[EndpointSecret]:
    """Replace the endpoint's secret. For 24 hours, the previous one also signs deliveries."""
    with context.database.write() as session:
        endpoint = endpoints.known(
            session, caller.account_id, endpoint_id, is_test=caller.is_test, lock=True
        )
        secret = webhook_secrets.replace(context.secrets, endpoint)
        audit.record(
            session, caller.account_id, caller.key_id, Action.ENDPOINT_SECRET_ROTATED, endpoint_id
        )
    return Success(data=schemas.shown_with_secret(endpoint, secret))
