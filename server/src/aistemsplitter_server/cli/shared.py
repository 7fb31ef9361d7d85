"""What the subcommands share: the open database, and how they print."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.migrations import migrate

_WIDE = 250  # columns where nobody sees them: who reads a pipe wants whole ids
_out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """The database, of which this version knows the schema."""
    database = Database(settings.database)
    try:
        migrate.check(database)
        yield database
    finally:
        database.close()


def print_json(value: Any) -> None:
    """One line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(titles: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """A table for people.

    Args:
        titles: of its columns, by the keys of the rows.
    """
    table = Table(*titles.values())
    for row in rows:
        cells = ("" if row[key] is None else row[key] for key in titles)
        table.add_row(*(escape(str(cell)) for cell in cells))
    _out.print(table)
