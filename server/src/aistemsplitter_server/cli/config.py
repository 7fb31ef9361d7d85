"""``config``: the effective settings."""

from __future__ import annotations

import typer

from aistemsplitter_server.cli.shared import Json, print_json
from aistemsplitter_server.kit import settings

app = typer.Typer(no_args_is_help=True, help="Show the settings.")


@app.callback()
def _group() -> None:
    """Show the settings."""


@app.command()
def show(context: typer.Context, as_json: Json = False) -> None:
    """Show the effective settings, with secrets hidden."""
    shown = {settings.PREFIX + name.upper(): value for name, value in context.obj.shown().items()}
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        typer.echo(f"{name}={value}")
