"""Its subcommands."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from aistemsplitter_server.accounts import queries as account_queries
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.cli.up import up
from aistemsplitter_server.credits import queries as credit_queries
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import logs, migrate, secrets, settings, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.settings import Settings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
db_app = typer.Typer(no_args_is_help=True, help="The database.")
accounts_app = typer.Typer(no_args_is_help=True, help="Accounts.")
keys_app = typer.Typer(no_args_is_help=True, help="API keys.")
credits_app = typer.Typer(no_args_is_help=True, help="Credits, in seconds of source audio.")
config_app = typer.Typer(no_args_is_help=True, help="Settings.")
app.add_typer(db_app, name="db")
app.add_typer(accounts_app, name="accounts")
app.add_typer(keys_app, name="keys")
app.add_typer(credits_app, name="credits")
app.add_typer(config_app, name="config")

_WIDE = 250  # columns where nobody sees them: who reads a pipe wants whole ids
out = Console(soft_wrap=True, width=None if sys.stdout.isatty() else _WIDE)
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.callback()
def _begin(
    context: typer.Context,
    data: Annotated[Path | None, typer.Option(help="Folder of database and secrets.")] = None,
) -> None:
    """The stem-splitting service."""
    context.obj = settings.load(data=data)


@contextmanager
def _opened(config: Settings) -> Iterator[Database]:
    database = Database(config.database)
    try:
        migrate.check(database)
        yield database
    finally:
        database.close()


@app.command()
def api(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the API."""
    from aistemsplitter_server.api import create_app, serving

    config = settings.load(data=context.obj.data, host=host, port=port)
    logs.configure()
    with _opened(config) as database:
        serving.serve(create_app(config, database, secrets.load(config.data)), config)


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI document."""
    from aistemsplitter_server.api.app import routed
    from aistemsplitter_server.api.openapi import document

    told = document(routed(), "http://127.0.0.1:8000")
    typer.echo(json.dumps(told, indent=2, ensure_ascii=False))


@app.command()
def worker(context: typer.Context) -> None:
    """Run a worker: it separates songs and delivers webhooks until it is told to stop."""
    from aistemsplitter_server.worker import process

    logs.configure()
    with _opened(context.obj) as database:
        process.run(context.obj, database)


app.command()(up)


@db_app.command("upgrade")
def db_upgrade(context: typer.Context) -> None:
    """Create the database or bring it up to date."""
    database = Database(context.obj.database)
    try:
        migrate.upgrade(database)
    finally:
        database.close()
    out.print("The database is up to date.")


@accounts_app.command("create")
def accounts_create(context: typer.Context, name: str) -> None:
    """Make an account, with the free credits of a new one."""
    with _opened(context.obj) as database, database.write() as session:
        account = accounts.create_account(session, name, free_seconds=context.obj.free_minutes * 60)
        made = account.id
    out.print(made)


@accounts_app.command("list")
def accounts_list(context: typer.Context) -> None:
    """Show all accounts."""
    table = Table("id", "name", "created")
    with _opened(context.obj) as database, database.read() as session:
        for account in account_queries.accounts(session):
            table.add_row(account.id, escape(account.name), times.to_wire(account.created_at))
    out.print(table)


@keys_app.command("create")
def keys_create(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Account id; the owner's if none.")] = None,
    name: Annotated[str, typer.Option(help="A name to know it by.")] = "",
    test: Annotated[bool, typer.Option("--test", help="A key that spends no credits.")] = False,
    as_json: Json = False,
) -> None:
    """Make a key with its webhook secret, and show both this once."""
    server_secrets = secrets.load(context.obj.data)
    with _opened(context.obj) as database, database.write() as session:
        account_id = (
            account
            or accounts.owner_account(session, free_seconds=context.obj.free_minutes * 60).id
        )
        key = accounts.create_key(session, server_secrets, account_id, name=name, test=test)
    shown = {"apiKey": key.api_key, "webhookSecret": key.webhook_secret, "id": key.id}
    if as_json:
        typer.echo(json.dumps(shown))
        return
    typer.echo("\n".join(f"{label:14} {value}" for label, value in shown.items()))
    typer.echo("Keep them now: they are not shown again.")


@keys_app.command("list")
def keys_list(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only this account's.")] = None,
    as_json: Json = False,
) -> None:
    """Show keys, without their secrets."""
    with _opened(context.obj) as database, database.read() as session:
        rows = [
            {
                "id": key.id,
                "accountId": key.account_id,
                "name": key.name,
                "mode": "test" if key.is_test else "live",
                "scopes": key.scopes,
                "lastUsedAt": key.last_used_at and times.to_wire(key.last_used_at),
                "expiresAt": key.expires_at and times.to_wire(key.expires_at),
                "revokedAt": key.revoked_at and times.to_wire(key.revoked_at),
            }
            for key in account_queries.keys(session, account)
        ]
    if as_json:
        typer.echo(json.dumps(rows))
        return
    table = Table("id", "account", "name", "mode", "last used", "revoked")
    for row in rows:
        names = ("id", "accountId", "name", "mode", "lastUsedAt", "revokedAt")
        table.add_row(*(escape(str(row[name] or "")) for name in names))
    out.print(table)


@keys_app.command("revoke")
def keys_revoke(context: typer.Context, key_id: str, as_json: Json = False) -> None:
    """Revoke a key, at once and for good."""
    with _opened(context.obj) as database, database.write() as session:
        revoked_at = accounts.revoke_key(session, key_id).revoked_at
    assert revoked_at is not None
    if as_json:
        typer.echo(json.dumps({"id": key_id, "revokedAt": times.to_wire(revoked_at)}))
    else:
        typer.echo(f"{key_id} is revoked.")


@credits_app.command("grant")
def credits_grant(
    context: typer.Context,
    account: str,
    minutes: Annotated[int | None, typer.Option(min=1, help="Any number of minutes.")] = None,
    pack: Annotated[int | None, typer.Option(help="A pack, by its minutes.")] = None,
) -> None:
    """Give an account credits: a pack, or any number of minutes."""
    if (minutes is None) == (pack is None):
        raise typer.BadParameter("give either --minutes or --pack")
    if pack is not None and pack not in context.obj.pack_minutes:
        sizes = ", ".join(map(str, context.obj.pack_minutes))
        raise NotFound(f"There is no pack of {pack} minutes; there are {sizes}.")
    reason = f"pack of {pack} minutes" if pack else "granted by the operator"
    with _opened(context.obj) as database, database.write() as session:
        entry = credits.grant(session, account, (minutes or pack or 0) * 60, reason)
        balance = entry.balance
    typer.echo(f"{balance} seconds")


@credits_app.command("show")
def credits_show(context: typer.Context, account: str) -> None:
    """Show an account's balance and its newest entries."""
    table = Table("time", "kind", "seconds", "balance", "split", "reason")
    with _opened(context.obj) as database, database.read() as session:
        entries = credit_queries.entries(session, account, limit=20)
        balance = credits.balance(session, account)
    for entry in entries:
        cells = (entry.kind, str(entry.seconds), str(entry.balance), entry.split_id or "")
        table.add_row(times.to_wire(entry.created_at), *cells, escape(entry.reason))
    typer.echo(f"{balance} seconds")
    out.print(table)


@config_app.command("show")
def config_show(context: typer.Context) -> None:
    """Show the settings in force, secrets hidden."""
    for name, value in context.obj.shown().items():
        typer.echo(f"{settings.PREFIX}{name.upper()}={value}")
