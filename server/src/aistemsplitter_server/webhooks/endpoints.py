"""The rules of webhook endpoints. Nothing here commits; the caller's unit of work does."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import limits, webhook_secrets
from aistemsplitter_server.accounts.limits import Limits
from aistemsplitter_server.kit import ids, outgoing, times
from aistemsplitter_server.kit.database import clock
from aistemsplitter_server.kit.errors import Conflict, NotFound, ValidationFailed
from aistemsplitter_server.kit.outgoing import OutgoingError
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.webhooks import queries
from aistemsplitter_server.webhooks.tables import Endpoint, Failing

DISABLED_BY_USER = "disabled with the API"


def create(
    session: Session,
    secrets: Secrets,
    allowed: Limits,
    account_id: str,
    *,
    is_test: bool,
    url: str,
    events: Sequence[str],
    description: str,
) -> tuple[Endpoint, str]:
    """Create an endpoint and return it with its secret.

    Args:
        allowed: The account's limits.
        is_test: Whether it receives events of splits of test keys, or of all others.
        events: Types of events.

    Raises:
        ValidationFailed: Requests to that URL are not allowed.
        LimitExceeded: The account has too many endpoints.
        Conflict: There is an endpoint with this URL in this mode.
    """
    _check_url(url)
    limits.lock(session, account_id)
    limits.check(
        allowed, "webhook_endpoints", lambda: queries.number_of_endpoints(session, account_id)
    )
    _refuse_another(session, account_id, url, is_test=is_test)
    now, endpoint_id, secret = times.now(), ids.new("whe"), webhook_secrets.new()
    endpoint = Endpoint(
        id=endpoint_id,
        account_id=account_id,
        is_test=is_test,
        url=url,
        events=[*events],
        description=description,
        sealed_webhook_secret=secrets.encrypt(secret, owner=endpoint_id),
        created_at=now,
        updated_at=now,
    )
    session.add(endpoint)
    session.flush()
    return endpoint, secret


def known(
    session: Session,
    account_id: str | None,
    endpoint_id: str,
    *,
    is_test: bool | None,
    lock: bool = False,
) -> Endpoint:
    """Return an endpoint.

    Args:
        account_id: The account; None for the operator, who may see all endpoints.
        is_test: The mode of the caller's key; None for either, for people.
        lock: Lock the endpoint until the end of the transaction, to change it.

    Raises:
        NotFound: The account has no such endpoint in this mode.
    """
    endpoint = session.get(Endpoint, endpoint_id, with_for_update=lock)
    if (
        endpoint is None
        or account_id not in (None, endpoint.account_id)
        or is_test not in (None, endpoint.is_test)
    ):
        raise NotFound(f"There is no webhook endpoint {endpoint_id[:64]}.")
    return endpoint


def update(
    session: Session,
    endpoint: Endpoint,
    *,
    url: str | None = None,
    events: Sequence[str] | None = None,
    description: str | None = None,
    disabled: bool | None = None,
) -> None:
    """Change an endpoint that is locked. What is None stays as it is.

    Args:
        disabled: False enables an endpoint, also one that was disabled because it failed.

    Raises:
        ValidationFailed: Requests to that URL are not allowed.
        Conflict: There is another endpoint with this URL in this mode.
    """
    if url is not None and url != endpoint.url:
        _check_url(url)
        limits.lock(session, endpoint.account_id)
        _refuse_another(session, endpoint.account_id, url, is_test=endpoint.is_test)
        endpoint.url = url
        endpoint.failing_since = None  # that was the other URL
    if events is not None:
        endpoint.events = [*events]
    if description is not None:
        endpoint.description = description
    if disabled is False:
        clear(endpoint)
    elif disabled and endpoint.disabled_reason is None:
        endpoint.disabled_at, endpoint.disabled_reason = clock(session), DISABLED_BY_USER
    endpoint.updated_at = times.now()


def delete(session: Session, endpoint: Endpoint) -> None:
    """Delete an endpoint. Its pending deliveries fail when they are next attempted."""
    session.delete(endpoint)


def subscribed(
    session: Session, account_id: str, kind: str, *, is_test: bool
) -> Sequence[Endpoint]:
    """Return the enabled endpoints that receive events of a type."""
    enabled = queries.enabled_endpoints(session, account_id, is_test=is_test)
    return [endpoint for endpoint in enabled if kind in endpoint.events]


def clear(receiver: Failing) -> None:
    """Enable a receiver, and forget that deliveries to it have failed."""
    receiver.failing_since = receiver.disabled_at = receiver.disabled_reason = None


def _check_url(url: str) -> None:
    try:
        outgoing.check(url)
    except OutgoingError as error:
        raise ValidationFailed([("url", str(error))]) from None


def _refuse_another(session: Session, account_id: str, url: str, *, is_test: bool) -> None:
    """Refuse a second endpoint of one URL, which would receive every event twice."""
    other = queries.endpoint_of_url(session, account_id, url, is_test=is_test)
    if other is not None:
        raise Conflict(f"There is an endpoint with this URL already: {other}.")
