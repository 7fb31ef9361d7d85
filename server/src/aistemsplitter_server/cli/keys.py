"""``keys``: API keys and their webhook secrets."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from aistemsplitter_server.accounts import queries, scopes, service
from aistemsplitter_server.accounts.limits import limits_of
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.cli.shared import (
    Json,
    client_settings,
    opened,
    opened_with_secrets,
    print_json,
    print_table,
)
from aistemsplitter_server.kit import times
from aistemsplitter_server.operations import opening
from aistemsplitter_server.splits.schemas import Priority

app = typer.Typer(no_args_is_help=True, help="Manage API keys.")

PERIOD = re.compile(r"([1-9][0-9]{0,4})([dh])", re.ASCII)
UNITS = {"d": "days", "h": "hours"}


@app.command()
def create(
    context: typer.Context,
    account: Annotated[
        str | None, typer.Option(help="Account id; the operator's own if omitted.")
    ] = None,
    name: Annotated[str, typer.Option(help="Name of the key.")] = "",
    scope: Annotated[
        list[Scope] | None,
        typer.Option(
            help="Scope of the key; repeat the option for several. All scopes if omitted."
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(
            help="Expiry, such as 90d, 12h or 2030-12-31; the key never expires if omitted."
        ),
    ] = None,
    priority: Annotated[
        Priority, typer.Option(help="Highest priority that the key's splits can have.")
    ] = "interactive",
    test: Annotated[
        bool, typer.Option("--test", help="Create a test key, which spends no credits.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Create a key with its webhook secret. Both are shown only once."""
    expires_at = None if expires is None else _moment(expires)
    with opened_with_secrets(context.obj) as (database, secrets), database.write() as session:
        free_seconds = context.obj.free_minutes * 60
        actor = audit.command_line()
        owned_by = account or opening.owner_account(session, actor, free_seconds=free_seconds).id
        key = service.create_key(
            session,
            secrets,
            owned_by,
            name=name,
            test=test,
            allowed=scope or scopes.ALL,
            expires_at=expires_at,
            top_priority=priority,
            limits=limits_of(session, context.obj, owned_by),
        )
        audit.record(
            session,
            owned_by,
            actor,
            Action.KEY_CREATED,
            key.id,
            name=name,
            mode="test" if test else "live",
            scopes=" ".join(scope or scopes.ALL),
        )
    shown = {"apiKey": key.api_key, "webhookSecret": key.webhook_secret, "id": key.id}
    if as_json:
        print_json(shown)
        return
    typer.echo(f"Key {key.id}. Copy these lines now, they are not shown again:\n")
    typer.echo(client_settings(context.obj, key))


@app.command("list")
def list_keys(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only this account's keys.")] = None,
    as_json: Json = False,
) -> None:
    """List keys, without their secrets."""
    with opened(context.obj) as database, database.read() as session:
        rows = [_shown(key) for key in queries.keys(session, account)]
    if as_json:
        print_json(rows)
        return
    titles = {
        "id": "id",
        "accountId": "account",
        "name": "name",
        "mode": "mode",
        "lastUsedAt": "last used",
        "expiresAt": "expires",
        "revokedAt": "revoked",
    }
    print_table(titles, rows)


@app.command()
def revoke(context: typer.Context, key_id: str, as_json: Json = False) -> None:
    """Revoke a key immediately and permanently."""
    with opened(context.obj) as database, database.write() as session:
        key = service.revoke_key(session, None, key_id)
        audit.record(session, key.account_id, audit.command_line(), Action.KEY_REVOKED, key.id)
        shown = _shown(key)
    if as_json:
        print_json({"id": key_id, "revokedAt": shown["revokedAt"]})
    else:
        typer.echo(f"{key_id} is revoked.")


@app.command()
def rotate(
    context: typer.Context,
    key_id: str,
    keep: Annotated[
        str,
        typer.Option(help="How long the old key still works, such as 7d, 12h or 0h."),
    ] = "24h",
    as_json: Json = False,
) -> None:
    """Replace a key. Its id, scopes and webhook secret stay, and the old key works for a while."""
    valid_for = _period(keep)
    with opened_with_secrets(context.obj) as (database, secrets), database.write() as session:
        api_key = service.rotate_key(session, secrets, None, key_id, valid_for=valid_for)
        key = service.known_key(session, None, key_id)
        assert key.previous_digest_until is not None
        actor = audit.command_line()
        audit.record(session, key.account_id, actor, Action.KEY_ROTATED, key_id, keep=keep)
        until = times.to_wire(key.previous_digest_until)
    if as_json:
        print_json({"id": key_id, "apiKey": api_key, "previousUntil": until})
        return
    typer.echo(api_key)
    typer.echo(f"Save it now: it is not shown again. The old key works until {until}.")


@app.command("rotate-secret")
def rotate_secret(context: typer.Context, key_id: str, as_json: Json = False) -> None:
    """Replace a key's webhook secret. For 24 hours, the old one also signs deliveries."""
    with opened_with_secrets(context.obj) as (database, secrets), database.write() as session:
        secret = service.rotate_webhook_secret(session, secrets, None, key_id)
        account_id = service.known_key(session, None, key_id).account_id
        audit.record(session, account_id, audit.command_line(), Action.SECRET_ROTATED, key_id)
    if as_json:
        print_json({"id": key_id, "webhookSecret": secret})
        return
    typer.echo(secret)
    typer.echo(
        "Save it now: it is not shown again. For 24 hours, the old one also signs deliveries."
    )


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "accountId": key.account_id,
        "name": key.name,
        "mode": "test" if key.is_test else "live",
        "scopes": key.scopes,
        "priority": key.top_priority,
        "createdAt": times.to_wire(key.created_at),
        "lastUsedAt": key.last_used_at and times.to_wire(key.last_used_at),
        "expiresAt": key.expires_at and times.to_wire(key.expires_at),
        "revokedAt": key.revoked_at and times.to_wire(key.revoked_at),
    }


def _period(text: str) -> timedelta:
    if text in ("0h", "0d"):
        return timedelta()
    if period := PERIOD.fullmatch(text):
        return timedelta(**{UNITS[period[2]]: int(period[1])})
    raise typer.BadParameter(f"--keep {text}: write days or hours, such as 7d or 12h")


def _moment(text: str) -> datetime:
    """Return a future time: days or hours from now, or a date in UTC."""
    if period := PERIOD.fullmatch(text):
        return times.now() + timedelta(**{UNITS[period[2]]: int(period[1])})
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"--expires {text}: write 90d, 12h, or a date such as 2030-12-31"
        ) from None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    if moment <= times.now():
        raise typer.BadParameter(f"--expires {text}: is not in the future")
    return moment
