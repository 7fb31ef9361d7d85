"""``accounts``: who owns keys, credits and splits."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aistemsplitter_server.accounts import people, queries, service
from aistemsplitter_server.accounts.tables import Account
from aistemsplitter_server.cli.shared import Json, opened, print_json, print_table
from aistemsplitter_server.kit import secrets, times

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


@app.command("link")
def make_link(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Account id; the owner's if none.")] = None,
    email: Annotated[
        str | None, typer.Option(help="Someone who has joined, to choose a new password.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a link by which someone joins an account on its pages, once, within 7 days."""
    server_secrets = secrets.of(context.obj)
    with opened(context.obj) as database, database.write() as session:
        person = queries.person(session, email.lower()) if email else None
        if email and person is None:
            raise typer.BadParameter(f"--email {email}: nobody has joined with that")
        free_seconds = context.obj.free_minutes * 60
        account_id = account or (
            person.account_id
            if person
            else service.owner_account(session, free_seconds=free_seconds).id
        )
        token = people.link(
            session, server_secrets, account_id, person_id=person.id if person else None
        )
    url = f"{context.obj.page_url}/join/{token}"
    if as_json:
        print_json({"url": url})
    else:
        typer.echo(url)


def _shown(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "isOwner": account.is_owner,
        "createdAt": times.to_wire(account.created_at),
    }
