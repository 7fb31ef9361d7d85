"""``aistemsplitter-local``: the engine on the command line.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import io
import sys

import typer

from aistemsplitter_engine.cli import models
from aistemsplitter_engine.cli.split import split

app = typer.Typer(
    help="Split songs into vocals, drums, bass and the rest on this machine.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help takes half the time
)
app.command()(split)
app.add_typer(models.app, name="models")


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show is no error
    try:
        app()
    except OSError as error:  # such as output that goes to a full disk
        sys.exit(f"Error: {error.strerror or error}")
