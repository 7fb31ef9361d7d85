"""``aistemsplitter webhooks``: receive deliveries while an application is being developed."""

from __future__ import annotations

from typing import Annotated

import typer

from aistemsplitter import _settings
from aistemsplitter._errors import ConfigurationError, InvalidWebhook
from aistemsplitter._webhooks import WebhookEvent
from aistemsplitter.cli import show
from aistemsplitter.cli.listen import Receiver
from aistemsplitter.cli.options import Json

app = typer.Typer(help="Receive webhook deliveries.", no_args_is_help=True)


@app.command()
def listen(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 for any free one.")
    ] = 4242,
    json: Json = False,
) -> None:
    """Receive deliveries on this machine and verify them with AISTEMSPLITTER_WEBHOOK_SECRET.

    For development. A service elsewhere cannot reach this machine without a tunnel.
    """
    if not _settings.webhook_secrets(None):
        raise ConfigurationError("no webhook secret: set AISTEMSPLITTER_WEBHOOK_SECRET")

    def received(event: WebhookEvent) -> None:
        if json:
            show.as_json(event.raw)
        else:
            show.say(f"{event.type} {event.id}: {event.data.id} {', '.join(event.data.stems)}")

    def refused(reason: InvalidWebhook) -> None:
        show.tell(f"refused: {reason.message}")

    try:
        receiver = Receiver(host, port, received, refused)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    with receiver, show.interruptible("no more deliveries are received"):
        show.tell(f"Listening on {receiver.url}; Ctrl-C ends it.")
        receiver.serve_forever(poll_interval=0.1)
