"""``db``: the database's schema."""

from __future__ import annotations

import typer

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.migrations import migrate

app = typer.Typer(no_args_is_help=True, help="Manage the database.")


@app.callback()
def _group() -> None:
    """Manage the database."""


@app.command()
def upgrade(context: typer.Context) -> None:
    """Create the database, or migrate it to this version."""
    database = Database(context.obj.database)
    try:
        migrate.upgrade(database)
    finally:
        database.close()
    typer.echo("The database is up to date.")
