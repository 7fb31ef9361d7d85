"""``accounts``: the owners of keys, credits and splits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from sqlalchemy.orm import Session

from aistemsplitter_server.accounts import members, people, queries, sign_ins, standing
from aistemsplitter_server.accounts.tables import ACTIVE, DELETING, SUSPENDED, Account, Person
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.cli.shared import (
    Json,
    opened,
    opened_with_secrets,
    print_json,
    print_table,
)
from aistemsplitter_server.kit import times
from aistemsplitter_server.operations import account_export, closing, limits, opening
from aistemsplitter_server.storage.configured import configured

app = typer.Typer(no_args_is_help=True, help="Manage accounts.")


@app.command()
def create(context: typer.Context, name: str, as_json: Json = False) -> None:
    """Create an account with the free credits of a new account."""
    free_seconds = context.obj.free_minutes * 60
    with opened(context.obj) as database, database.write() as session:
        account = opening.open_account(session, name, free_seconds=free_seconds)
        audit.record(
            session,
            account.id,
            audit.command_line(),
            Action.ACCOUNT_CREATED,
            name=name,
            seconds=free_seconds,
        )
        made = _shown(account)
    if as_json:
        print_json(made)
    else:
        typer.echo(made["id"])


@app.command()
def suspend(
    context: typer.Context,
    account: str,
    reason: Annotated[str, typer.Option(help="Reason, recorded in the audit log.")] = "",
    as_json: Json = False,
) -> None:
    """Suspend an account: block its keys and people, and cancel its splits."""
    with opened(context.obj) as database:
        with database.write() as session:
            if standing.suspend(session, account):
                actor = audit.command_line()
                audit.record(
                    session, account, actor, Action.ACCOUNT_SUSPENDED, reason=reason or None
                )
        closing.cancel_splits(database, account)
    _say(as_json, account, SUSPENDED, f"{account} is suspended.")


@app.command()
def resume(context: typer.Context, account: str, as_json: Json = False) -> None:
    """Resume a suspended account. Its cancelled splits are not restarted."""
    with opened(context.obj) as database, database.write() as session:
        if standing.resume(session, account):
            audit.record(session, account, audit.command_line(), Action.ACCOUNT_RESUMED)
    _say(as_json, account, ACTIVE, f"{account} is active.")


@app.command("delete")
def delete_account(
    context: typer.Context,
    account: str,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation.")] = False,
    as_json: Json = False,
) -> None:
    """Permanently delete an account: audio, keys and people. Its ledger is kept, without names."""
    if not yes:
        typer.confirm(f"Delete {account} with its audio, keys and people?", abort=True)
    with opened(context.obj) as database:
        with database.write() as session:
            standing.start_deletion(session, account)
            audit.record(session, account, audit.command_line(), Action.ACCOUNT_DELETION_STARTED)
        closing.cancel_splits(database, account)
    done = f"{account} can no longer be used. A worker erases its data within minutes."
    _say(as_json, account, DELETING, done)


@app.command("list")
def list_accounts(context: typer.Context, as_json: Json = False) -> None:
    """List all accounts."""
    with opened(context.obj) as database, database.read() as session:
        rows = [_shown(account) for account in queries.accounts(session)]
    if as_json:
        print_json(rows)
    else:
        titles = {"id": "id", "name": "name", "state": "state", "createdAt": "created"}
        print_table(titles, rows)


@app.command()
def export(
    context: typer.Context,
    account: str,
    output: Annotated[Path, typer.Argument(help="Zip file to write, which must not exist.")],
    audio: Annotated[
        bool, typer.Option("--audio", help="Include the uploads and stems that are stored.")
    ] = False,
) -> None:
    """Write all that is stored about an account and its people to a zip file, without secrets."""
    with opened_with_secrets(context.obj) as (database, secrets):
        storage = configured(context.obj, secrets)
        with Console(stderr=True).status("exporting") as status:
            account_export.write(
                database, storage, account, output, audio=audio, report=status.update
            )
        with database.write() as session:
            audit.record(session, account, audit.command_line(), Action.ACCOUNT_EXPORTED)
    typer.echo(str(output))


@app.command("limits")
def show_limits(
    context: typer.Context,
    account: str,
    changes: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="LIMIT=VALUE",
            help="Limits to set, such as keys=5; 0 removes a limit, default restores the setting.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show an account's limits and their use, or change its limits."""
    values = dict(map(_change, changes or ()))
    with opened(context.obj) as database:
        if values:
            with database.write() as session:
                limits.change(session, account, values, actor=audit.command_line())
        with database.read() as session:
            rows = [
                {
                    "limit": each.name,
                    "value": each.value,
                    "default": each.default,
                    "used": each.used,
                }
                for each in limits.of_account(session, context.obj, account)
            ]
    if as_json:
        print_json(rows)
    else:
        print_table(
            {"limit": "limit", "value": "value", "default": "default", "used": "in use"}, rows
        )


@app.command("link")
def make_link(
    context: typer.Context,
    account: Annotated[
        str | None, typer.Option(help="Account id; the operator's own if omitted.")
    ] = None,
    email: Annotated[
        str | None, typer.Option(help="Email address of a person whose password the link resets.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Create a link for joining an account on the pages. It works once, within 7 days."""
    with opened_with_secrets(context.obj) as (database, secrets), database.write() as session:
        person = _person(session, email) if email else None
        free_seconds = context.obj.free_minutes * 60
        actor = audit.command_line()
        account_id = account or (
            person.account_id
            if person
            else opening.owner_account(session, actor, free_seconds=free_seconds).id
        )
        token = people.link(session, secrets, account_id, person_id=person.id if person else None)
        audit.record(
            session,
            account_id,
            actor,
            Action.PASSWORD_LINK_CREATED if person else Action.PERSON_INVITED,
            person.id if person else None,
        )
    url = f"{context.obj.page_url}/join/{token}"
    if as_json:
        print_json({"url": url})
    else:
        typer.echo(url)


@app.command("sign-out")
def sign_out(
    context: typer.Context,
    account: Annotated[
        str | None, typer.Option(help="Account id; all its people are signed out.")
    ] = None,
    email: Annotated[
        str | None, typer.Option(help="Email address of the person to sign out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """End all sessions of a person or of an account's people. API keys still work."""
    if (account is None) == (email is None):
        raise typer.BadParameter("pass either --email or --account")
    with opened(context.obj) as database, database.write() as session:
        if account is not None:
            standing.require_not_deleted(session, account)
            found = [*queries.people(session, account)]
        else:
            assert email is not None
            found = [_person(session, email)]
        ended = 0
        for person in found:
            ended += len(sign_ins.everywhere(session, person.id))
            sign_ins.end_all(session, person.id)
            actor = audit.command_line()
            audit.record(session, person.account_id, actor, Action.SESSIONS_REVOKED, person.id)
    if as_json:
        print_json({"people": [person.id for person in found], "ended": ended})
    else:
        typer.echo(f"{ended} {'session' if ended == 1 else 'sessions'} ended.")


@app.command("remove-person")
def remove_person(
    context: typer.Context,
    email: Annotated[str, typer.Option(help="Email address of the person to remove.")],
    last: Annotated[
        bool, typer.Option("--last", help="Remove the person even if the account has no other.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Remove a person from their account, and end their sessions. API keys still work."""
    with opened(context.obj) as database, database.write() as session:
        person = _person(session, email)
        person_id, account_id = person.id, person.account_id
        members.remove(session, account_id, person_id, even_the_last=last)
        actor = audit.command_line()
        audit.record(
            session, account_id, actor, Action.PERSON_REMOVED, person_id, email=person.email
        )
        left = len(queries.people(session, account_id))
    if as_json:
        print_json({"id": person_id, "accountId": account_id, "peopleLeft": left})
        return
    typer.echo(f"{email} is removed.")
    if not left:
        typer.echo(
            "The account has no people left. To invite someone, run"
            f" aistemsplitter-server accounts link --account {account_id}"
        )


def _person(session: Session, email: str) -> Person:
    person = queries.person(session, email.lower())
    if person is None:
        raise typer.BadParameter(f"--email {email}: no person has this email address")
    return person


def _change(text: str) -> tuple[str, int | None]:
    name, equals, value = text.partition("=")
    if value == "default":
        return name, None
    if not equals or not value.isascii() or not value.isdecimal():
        raise typer.BadParameter(f"{text}: write a limit and its value, such as keys=5")
    return name, int(value)


def _say(as_json: bool, account_id: str, state: str, text: str) -> None:
    if as_json:
        print_json({"id": account_id, "state": state})
    else:
        typer.echo(text)


def _shown(account: Account) -> dict[str, Any]:
    return {
        "id": account.id,
        "name": account.name,
        "isOwner": account.is_owner,
        "state": account.state,
        "createdAt": times.to_wire(account.created_at),
    }
