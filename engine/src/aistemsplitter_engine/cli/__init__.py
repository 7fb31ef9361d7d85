"""``aistemsplitter-local``: the engine on the command line.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import io
import os
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
    """Run the command line, and end the process."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a name that the terminal cannot show is no error
    try:
        try:
            app()
        except SystemExit as end:  # holds on to what its frames hold, such as a network
            sys.stdout.flush()
            sys.stderr.flush()
            # All is written; to free memory before it goes with the process takes 0.1 s.
            os._exit(end.code if isinstance(end.code, int) else 1)
    except OSError as error:  # such as output that goes to a full disk
        sys.exit(f"Error: {error.strerror or error}")
