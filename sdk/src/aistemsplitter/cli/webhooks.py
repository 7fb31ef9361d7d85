"""``aistemsplitter webhooks``: a receiver of webhook deliveries, for development."""

from __future__ import annotations

from typing import Annotated

import typer

from aistemsplitter import _settings
from aistemsplitter._errors import ConfigurationError, InvalidWebhook
from aistemsplitter._webhooks import WebhookEvent
from aistemsplitter.cli import show
from aistemsplitter.cli.listen import Receiver
from aistemsplitter.cli.options import Json

app = typer.Typer(help="Receive webhook deliveries during development.", no_args_is_help=True)


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
