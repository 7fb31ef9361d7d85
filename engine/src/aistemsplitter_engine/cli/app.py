"""The commands. Heavy modules are imported when a command runs, so that ``--help`` is fast."""

import click

from aistemsplitter_engine.cli import models
from aistemsplitter_engine.cli.split import split


@click.group(context_settings={"show_default": True})
def app() -> None:
    """Split songs into vocals, drums, bass and the rest on this machine."""


app.add_command(split)
app.add_command(models.group)
