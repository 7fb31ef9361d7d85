"""``audit``: the audit log of all accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from aistemsplitter_server.audit import export as exporting
from aistemsplitter_server.audit.export import Format
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.cli.shared import opened

app = typer.Typer(no_args_is_help=True, help="Export the audit log.")


@app.callback()
def _commands() -> None:
    """Export the audit log."""


@app.command()
def export(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only this account's entries.")] = None,
    action: Annotated[Action | None, typer.Option(help="Only entries with this action.")] = None,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = "jsonl",
) -> None:
    """Print the audit log, oldest entries first."""
    with opened(context.obj) as database:
        for piece in exporting.pieces(database, account, action=action, form=form):
            typer.echo(piece, nl=False)
