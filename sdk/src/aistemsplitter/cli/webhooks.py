"""``aistemsplitter webhooks``: endpoints, events, and a receiver for development."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Annotated, TypeAlias, cast

import typer

from aistemsplitter import _settings
from aistemsplitter._errors import ConfigurationError, InvalidWebhook
from aistemsplitter._webhook_models import WebhookEndpoint
from aistemsplitter._webhooks import WebhookEvent
from aistemsplitter.cli import show
from aistemsplitter.cli.listen import Receiver
from aistemsplitter.cli.options import BaseUrl, Json, Key, connect

if TYPE_CHECKING:
    from aistemsplitter._types import EventType

EndpointId: TypeAlias = Annotated[
    str, typer.Argument(metavar="ENDPOINT", help="Id of the endpoint, such as whe_01J...")
]
app = typer.Typer(
    help="Webhook endpoints, events, and a receiver for development.", no_args_is_help=True
)


@app.command()
def listen(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free port.")
    ] = 4242,
    json: Json = False,
) -> None:
    """Receive webhook deliveries on this machine and verify them.

    The secret is read from AISTEMSPLITTER_WEBHOOK_SECRET. A service on another machine needs a
    tunnel to reach this one.
    """
    if not _settings.webhook_secrets(None):
        raise ConfigurationError("no webhook secret: set AISTEMSPLITTER_WEBHOOK_SECRET")

    def received(event: WebhookEvent) -> None:
        if json:
            show.as_json(event.raw)
        else:
            show.line(f"{event.type} {event.id}: {event.data.id} {', '.join(event.data.stems)}")

    def rejected(reason: InvalidWebhook) -> None:
        show.message(f"Rejected a delivery: {reason.message}")

    try:
        receiver = Receiver(host, port, received, rejected)
    except OSError as error:
        raise ConfigurationError(
            f"{host}:{port}: cannot listen there: {error.strerror or error}. Choose another --port"
        ) from None
    with receiver, show.interruptible("no more deliveries are received"):
        show.message(f"Listening on {receiver.url}. Press Ctrl-C to stop.")
        receiver.serve_forever(poll_interval=0.1)


@app.command()
def endpoints(json: Json = False, key: Key = None, base_url: BaseUrl = None) -> None:
    """List the webhook endpoints, newest first."""
    with connect(key, base_url) as client:
        for endpoint in client.list_webhook_endpoints(limit=100):
            if json:
                show.as_json(endpoint.raw)
            else:
                state = endpoint.disabled_reason or ", ".join(endpoint.events)
                show.line(f"{endpoint.id} {endpoint.url} ({state})")


@app.command()
def add(
    url: Annotated[str, typer.Argument(help="URL that receives the events.")],
    event: Annotated[
        list[str] | None, typer.Option(help="Type of event to receive; repeatable. Default: all.")
    ] = None,
    description: Annotated[str, typer.Option(help="Text of your own.")] = "",
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Create a webhook endpoint and print its secret, which is not shown again."""
    with connect(key, base_url) as client:
        made = client.create_webhook_endpoint(
            url, events=cast("list[EventType] | None", event), description=description
        )
    _show_secret(made, json)


@app.command()
def remove(
    endpoint_id: EndpointId, json: Json = False, key: Key = None, base_url: BaseUrl = None
) -> None:
    """Delete a webhook endpoint."""
    with connect(key, base_url) as client:
        deleted = client.delete_webhook_endpoint(endpoint_id)
    if json:
        show.as_json(deleted.to_dict())
    else:
        show.line(f"{deleted.id} deleted")


@app.command("rotate-secret")
def rotate_secret(
    endpoint_id: EndpointId, json: Json = False, key: Key = None, base_url: BaseUrl = None
) -> None:
    """Replace an endpoint's secret. For 24 hours the previous one also signs deliveries."""
    with connect(key, base_url) as client:
        _show_secret(client.rotate_webhook_secret(endpoint_id), json)


@app.command()
def events(
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="Maximum number of events.")] = 20,
    type: Annotated[
        str | None,
        typer.Option("--type", help="Only events of this type, such as split.failed."),
    ] = None,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """List the events of the last 30 days, newest first, whether they were delivered or not."""
    with connect(key, base_url) as client:
        page = client.list_events(limit=min(limit, 100), type=cast("EventType | None", type))
        found = list(islice(page, limit))
    for event in found:
        if json:
            show.as_json(event.raw)
        else:
            at = (
                ""
                if event.created_at is None
                else f"{event.created_at.astimezone():%Y-%m-%d %H:%M}"
            )
            show.line(f"{event.id} {at} {event.type} {event.data.id}")


@app.command()
def redeliver(
    event_id: Annotated[
        str, typer.Argument(metavar="EVENT", help="Id of the event, such as evt_01J...")
    ],
    endpoint: Annotated[str | None, typer.Option(help="Only to this endpoint.")] = None,
    json: Json = False,
    key: Key = None,
    base_url: BaseUrl = None,
) -> None:
    """Deliver an event again."""
    with connect(key, base_url) as client:
        deliveries = client.redeliver_event(event_id, endpoint_id=endpoint)
    for delivery in deliveries:
        if json:
            show.as_json(delivery.raw)
        else:
            show.line(f"{delivery.id} {delivery.state}: {delivery.url}")


def _show_secret(endpoint: WebhookEndpoint, json: bool) -> None:
    if json:
        show.as_json(endpoint.raw)
        return
    show.line(endpoint.secret or "")
    show.message(f"{endpoint.id}: save its secret now, because it is not shown again.")
