"""``accounts``: who owns keys, credits and splits."""

from __future__ import annotations

from typing import Any

import typer

from aistemsplitter_server.accounts import queries, service
from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.cli.shared import Json, opened, print_json, print_table
from aistemsplitter_server.kit import times

app = typer.Typer(no_args_is_help=True, help="Accounts.")


@app.command()
def create(context: typer.Context, name: str, as_json: Json = False) -> None:
    """Make an account, with the free credits of a new one."""
    free_seconds = context.obj.free_minutes * 60
    with opened(context.obj) as database, database.write() as session:
        made = _shown(service.create_account(session, name, free_seconds=free_seconds))
    if as_json:
        print_json(made)
    else:
        typer.echo(made["id"])


@app.command("list")
def list_accounts(context: typer.Context, as_json: Json = False) -> None:
    """Show all accounts."""
    with opened(context.obj) as database, database.read() as session:
        rows = [_shown(account) for account in queries.accounts(session)]
    if as_json:
        print_json(rows)
    else:
        print_table({"id": "id", "name": "name", "createdAt": "created"}, rows)


def _shown(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "isOwner": account.is_owner,
        "createdAt": times.to_wire(account.created_at),
    }
