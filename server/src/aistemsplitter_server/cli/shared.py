"""Helpers of the subcommands: opening the database, and printing."""

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

from aistemsplitter_server.accounts.service import NewKey
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import env_file
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.migrations import migrate

_WIDE = 250  # columns without a terminal, so that ids in a pipe are whole
_out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)

ENV_FILE = "env_file"  # in the context: the file of settings in use
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def remember_env_file(context: typer.Context) -> None:
    """Have the data folder remember the file of settings that its service is started with."""
    path, data = context.meta[ENV_FILE], context.obj.data
    if path is not None:
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        env_file.remember(path, data)


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Yield the database, if its schema matches this version."""
    database = Database(settings.database)
    try:
        migrate.check(database)
        yield database
    finally:
        database.close()


@contextmanager
def opened_with_secrets(settings: Settings) -> Iterator[tuple[Database, Secrets]]:
    """Yield the database, and the server's secret if it is that of the database."""
    with opened(settings) as database:
        yield database, installation.load_secrets(settings, database)


def client_settings(settings: Settings, key: NewKey) -> str:
    """Return shell commands that let a client use this service with a new key.

    They name the service too: without its address the client would send the key to the public one.
    """
    return (
        f"export AISTEMSPLITTER_BASE_URL={settings.base_url}/v1\n"
        f"export AISTEMSPLITTER_API_KEY={key.api_key}\n"
        f"export AISTEMSPLITTER_WEBHOOK_SECRET={key.webhook_secret}"
    )


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    typer.echo(json.dumps(value, ensure_ascii=False))


def print_table(titles: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Print a table for people.

    Args:
        titles: Titles of the columns, by the keys of the rows.
    """
    table = Table(*titles.values())
    for row in rows:
        cells = ("" if row[key] is None else row[key] for key in titles)
        table.add_row(*(escape(str(cell)) for cell in cells))
    _out.print(table)
