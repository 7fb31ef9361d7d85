"""``aistemsplitter-local``: the engine on the command line.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import typer

from aistemsplitter_engine.cli import models
from aistemsplitter_engine.cli.split import split

app = typer.Typer(
    help="Split songs into vocals, drums, bass and the rest on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(split)
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command line."""
    app()
