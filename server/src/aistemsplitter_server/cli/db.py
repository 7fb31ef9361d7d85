"""``db``: the database's schema, and what belongs to the database."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from aistemsplitter_server.cli.shared import opened
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.storage.configured import configured

app = typer.Typer(no_args_is_help=True, help="Manage the database.")


@app.command()
def upgrade(context: typer.Context) -> None:
    """Create the database, or migrate it to this version."""
    database = Database(context.obj.database)
    try:
        migrate.upgrade(database)
    finally:
        database.close()
    typer.echo("The database is up to date.")


@app.command()
def accept(
    context: typer.Context,
    part: Annotated[Literal["secret", "storage"], typer.Argument(help="What was replaced.")],
) -> None:
    """Use the database with another secret or storage, because the old one is lost for good."""
    settings = context.obj
    with opened(settings) as database:
        keys = secrets.of(settings)
        if part == "secret":
            installation.accept_secret(database, keys)
        else:
            installation.accept_storage(database, configured(settings, keys), settings.data)
    if part == "secret":
        typer.echo("The present secret is accepted. API keys made with the lost one do not work.")
    else:
        typer.echo("The present storage is accepted. Songs and stems of the lost one are missing.")
