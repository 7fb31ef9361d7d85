"""``secret``: replacing the server's secret."""

from __future__ import annotations

import typer

from aistemsplitter_server.cli.shared import Json, opened_with_secrets, print_json
from aistemsplitter_server.installation import rotation
from aistemsplitter_server.kit import secrets, times
from aistemsplitter_server.kit.secrets import UnusableSecret
from aistemsplitter_server.kit.settings import PREFIX, Settings

app = typer.Typer(no_args_is_help=True, help="Replace the server's secret.")


@app.command()
def rotate(context: typer.Context) -> None:
    """Replace the data folder's secret. The old one is accepted until `secret forget`."""
    settings: Settings = context.obj
    if settings.secret is not None:
        raise UnusableSecret(
            f"{PREFIX}SECRET is set: set {PREFIX}PREVIOUS_SECRET to its value and"
            f" {PREFIX}SECRET to a new one (openssl rand -base64 32)"
        )
    with opened_with_secrets(settings):  # checks that the secret is the database's
        secrets.rotate(settings.data)
    typer.echo(
        "The secret is replaced. Restart the service, so that it uses the new one; then run"
        " aistemsplitter-server secret reencrypt"
    )


@app.command()
def reencrypt(context: typer.Context, as_json: Json = False) -> None:
    """Convert what the previous secret encrypted, and list what only that secret verifies."""
    with opened_with_secrets(context.obj) as (database, keys):
        done = rotation.reencrypt(database, keys)
        with database.read() as session:
            left = rotation.remaining(session, keys)
    if as_json:
        print_json(
            {
                "reencrypted": done.converted,
                "lost": done.lost,
                "keys": [key.id for key in left.keys],
                "signIns": left.sign_ins,
                "links": left.links,
                "shares": left.shares,
                "lastExpiry": left.last_expiry and times.to_wire(left.last_expiry),
            }
        )
        return
    typer.echo(f"Encrypted {done.converted} webhook secrets with the current secret.")
    for signer_id in done.lost:
        group = "keys" if signer_id.startswith("key_") else "webhooks"
        typer.echo(
            f"{signer_id}: neither secret decrypts its webhook secret. Replace it with"
            f" aistemsplitter-server {group} rotate-secret {signer_id}"
        )
    typer.echo("Accepted only until the previous secret is forgotten:")
    typer.echo(f"  {len(left.keys)} API keys; each is converted when it is next used")
    for key in left.keys:
        typer.echo(f"    {key.id} {key.name}".rstrip())
    expiry = f"; the last expires at {times.to_wire(left.last_expiry)}" if left.last_expiry else ""
    typer.echo(
        f"  {left.sign_ins} sign-ins, {left.links} invitations and password links,"
        f" {left.shares} share links{expiry}"
    )


@app.command()
def forget(context: typer.Context) -> None:
    """Stop accepting the previous secret of the data folder. Restart the service afterwards."""
    settings: Settings = context.obj
    if settings.previous_secret is not None:
        raise UnusableSecret(
            f"{PREFIX}PREVIOUS_SECRET is set: remove it from the settings and restart the service"
        )
    with opened_with_secrets(settings) as (database, keys):
        rotation.reencrypt(database, keys)
    if secrets.forget_previous(settings.data):
        typer.echo("The previous secret is deleted. Restart the service.")
    else:
        typer.echo("There is no previous secret.")
