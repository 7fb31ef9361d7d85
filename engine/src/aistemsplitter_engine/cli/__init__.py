"""``aistemsplitter-local``: the engine on the command line.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import io
import sys

import click

from aistemsplitter_engine.cli import models
from aistemsplitter_engine.cli.split import split


@click.group(context_settings={"show_default": True})
def app() -> None:
    """Split songs into vocals, drums, bass and the rest on this machine."""


app.add_command(split)
app.add_command(models.group)


def main() -> None:
    """Run the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show is no error
    try:
        app()
    except OSError as error:  # such as output that goes to a full disk
        sys.exit(f"Error: {error.strerror or error}")
