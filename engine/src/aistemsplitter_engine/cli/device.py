"""The option ``--device``."""

from __future__ import annotations

import click

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.options import checked_device


def _parse(_context: click.Context, _option: click.Parameter, value: str) -> str:
    """Return the value of the option, if it is the name of a device."""
    try:
        return checked_device(value)
    except OptionError as error:
        raise click.BadParameter(f"{error}.") from None


device_option = click.option(
    "--device",
    metavar="auto|cpu|cuda|cuda:N|mps",
    callback=_parse,
    default="auto",
    help="Device to compute on.",
)
