"""A client's calls on webhook endpoints and events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from aistemsplitter import _webhook_operations as operations
from aistemsplitter._pages import EventPage, WebhookEndpointPage
from aistemsplitter._sync_calls import SyncCalls
from aistemsplitter._types import EventId, EventType, WebhookEndpointId
from aistemsplitter._webhook_models import DeletedWebhookEndpoint, WebhookDelivery, WebhookEndpoint
from aistemsplitter._webhooks import WebhookEvent


class WebhookCalls(SyncCalls):
    """A client's calls on webhook endpoints and events; a base class of the client."""

    def create_webhook_endpoint(
        self,
        url: str,
        *,
        events: Sequence[EventType] | None = None,
        description: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> WebhookEndpoint:
        """Create a webhook endpoint: a URL that receives the events of all splits.

        Keep its ``secret``, which verifies the deliveries: it is sent only this once.

        Args:
            url: URL that receives the events.
            events: Types of events that it receives; all of today's if omitted.
            description: Text of your own.
            extra_headers: Additional headers of the call.

        Raises:
            Conflict: There is an endpoint with this URL.
            LimitExceeded: The account has too many endpoints.
        """
        session = self._session_with(extra_headers)
        return self._run(operations.create_endpoint(session, url, events, description))

    def list_webhook_endpoints(
        self,
        *,
        limit: int | None = None,
        cursor: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> WebhookEndpointPage:
        """Return a page of webhook endpoints, newest first. Iterating continues across pages.

        Args:
            limit: Number of endpoints per page, 1 to 100; the server's default is 20.
            cursor: ``next_cursor`` of the previous page; omit it for the first page.
            extra_headers: Additional headers of the calls.
        """
        operation = partial(operations.list_endpoints, self._session_with(extra_headers), limit)
        return self._page(WebhookEndpointPage, operation, cursor)

    def get_webhook_endpoint(
        self, endpoint_id: WebhookEndpointId, *, extra_headers: Mapping[str, str] | None = None
    ) -> WebhookEndpoint:
        """Return a webhook endpoint.

        Args:
            endpoint_id: Id of the endpoint, or the endpoint itself.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such endpoint.
        """
        session = self._session_with(extra_headers)
        return self._run(operations.get_endpoint(session, endpoint_id))

    def update_webhook_endpoint(
        self,
        endpoint_id: WebhookEndpointId,
        *,
        url: str | None = None,
        events: Sequence[EventType] | None = None,
        description: str | None = None,
        disabled: bool | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> WebhookEndpoint:
        """Change a webhook endpoint. What is omitted stays as it is.

        Args:
            endpoint_id: Id of the endpoint, or the endpoint itself.
            url: URL that receives the events.
            events: Types of events that it receives.
            description: Text of your own.
            disabled: True to let deliveries fail at once; False to enable a disabled endpoint.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such endpoint.
            Conflict: There is another endpoint with this URL.
        """
        session = self._session_with(extra_headers)
        operation = operations.update_endpoint(
            session, endpoint_id, url, events, description, disabled
        )
        return self._run(operation)

    def delete_webhook_endpoint(
        self, endpoint_id: WebhookEndpointId, *, extra_headers: Mapping[str, str] | None = None
    ) -> DeletedWebhookEndpoint:
        """Delete a webhook endpoint. Its pending deliveries fail.

        Args:
            endpoint_id: Id of the endpoint, or the endpoint itself.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such endpoint.
        """
        session = self._session_with(extra_headers)
        return self._run(operations.delete_endpoint(session, endpoint_id))

    def rotate_webhook_secret(
        self, endpoint_id: WebhookEndpointId, *, extra_headers: Mapping[str, str] | None = None
    ) -> WebhookEndpoint:
        """Replace an endpoint's secret and return the endpoint with the new one.

        For 24 hours the previous secret also signs deliveries. The call is not retried.

        Args:
            endpoint_id: Id of the endpoint, or the endpoint itself.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such endpoint.
        """
        session = self._session_with(extra_headers)
        return self._run(operations.rotate_secret(session, endpoint_id))

    def list_events(
        self,
        *,
        type: EventType | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> EventPage:
        """Return a page of the account's events, newest first. Iterating continues across pages.

        The service keeps events for at least 30 days, whether they were delivered or not.

        Args:
            type: Type of the events; all if omitted.
            limit: Number of events per page, 1 to 100; the server's default is 20.
            cursor: ``next_cursor`` of the previous page; omit it for the first page.
            extra_headers: Additional headers of the calls.
        """
        operation = partial(operations.list_events, self._session_with(extra_headers), type, limit)
        return self._page(EventPage, operation, cursor)

    def get_event(
        self, event_id: EventId, *, extra_headers: Mapping[str, str] | None = None
    ) -> WebhookEvent:
        """Return an event with its split as it is now.

        Args:
            event_id: Id of the event, or the event itself.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such event.
        """
        return self._run(operations.get_event(self._session_with(extra_headers), event_id))

    def redeliver_event(
        self,
        event_id: EventId,
        *,
        endpoint_id: WebhookEndpointId | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> tuple[WebhookDelivery, ...]:
        """Deliver an event again, with the same id, and return the new deliveries.

        Args:
            event_id: Id of the event, or the event itself.
            endpoint_id: The only endpoint to deliver it to; if omitted, the split's own URL and
                all enabled endpoints that receive such events.
            extra_headers: Additional headers of the call.

        Raises:
            NotFound: The account has no such event or endpoint.
            Conflict: There is nowhere to deliver it to, or it is being delivered.
        """
        session = self._session_with(extra_headers)
        return self._run(operations.redeliver(session, event_id, endpoint_id))
