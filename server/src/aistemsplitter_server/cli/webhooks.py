"""``webhooks``: the deliveries and endpoints of all accounts, and replays."""

from __future__ import annotations

from typing import Annotated

import typer

from aistemsplitter_server.accounts import webhook_secrets
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.cli.shared import (
    Json,
    opened,
    opened_with_secrets,
    print_json,
    print_table,
)
from aistemsplitter_server.webhooks import endpoints, queries, schemas, service

app = typer.Typer(no_args_is_help=True, help="Webhook endpoints, and deliveries to replay.")


@app.command("list")
def list_deliveries(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only this account's deliveries.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only failed deliveries.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of deliveries.")] = 20,
    as_json: Json = False,
) -> None:
    """List deliveries, newest first."""
    state = service.FAILED if failed else None
    with opened(context.obj) as database, database.read() as session:
        found = queries.page(session, account, state=state, limit=limit)
    rows = [schemas.shown(*each).model_dump(by_alias=True) for each in found]
    if as_json:
        print_json(rows)
        return
    titles = {
        "id": "id",
        "state": "state",
        "type": "event",
        "splitId": "split",
        "attempts": "attempts",
        "url": "url",
        "reason": "reason",
    }
    print_table(titles, rows)


@app.command()
def show(context: typer.Context, delivery_id: str, as_json: Json = False) -> None:
    """Show a delivery and its attempts."""
    with opened(context.obj) as database, database.read() as session:
        delivery, event = service.known(session, None, delivery_id, is_test=None)
        attempts = queries.attempts(session, delivery_id)
    shown = schemas.shown_with_log(delivery, event, attempts).model_dump(by_alias=True)
    if as_json:
        print_json(shown)
        return
    log = shown.pop("log")
    for name, value in shown.items():
        typer.echo(f"{name:16} {'' if value is None else value}".rstrip())
    titles = {
        "number": "attempt",
        "startedAt": "time",
        "status": "status",
        "latencySeconds": "seconds",
        "error": "error",
        "answer": "answer",
    }
    print_table(titles, log)


@app.command()
def replay(context: typer.Context, delivery_ids: list[str], as_json: Json = False) -> None:
    """Replay deliveries. Each becomes a new delivery of the same event."""
    with opened(context.obj) as database, database.write() as session:
        made = [service.replay(session, None, each, is_test=None) for each in delivery_ids]
        for before, (delivery, _) in zip(delivery_ids, made, strict=True):
            audit.record(
                session,
                delivery.account_id,
                audit.command_line(),
                Action.WEBHOOK_REPLAYED,
                delivery.id,
                replay_of=before,
            )
    rows = [schemas.shown(*each).model_dump(by_alias=True) for each in made]
    if as_json:
        print_json(rows)
        return
    for before, row in zip(delivery_ids, rows, strict=True):
        typer.echo(f"{before} is delivered again as {row['id']}.")


@app.command("endpoints")
def list_endpoints(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only this account's endpoints.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of endpoints.")] = 100,
    as_json: Json = False,
) -> None:
    """List webhook endpoints, newest first."""
    with opened(context.obj) as database, database.read() as session:
        found = queries.endpoints(session, account, limit=limit)
        rows = [
            {
                "accountId": endpoint.account_id,
                "test": endpoint.is_test,
                **schemas.shown_endpoint(endpoint).model_dump(by_alias=True),
            }
            for endpoint in found
        ]
    if as_json:
        print_json(rows)
        return
    titles = {
        "id": "id",
        "accountId": "account",
        "test": "test",
        "url": "url",
        "disabledReason": "disabled",
    }
    print_table(titles, rows)


@app.command("rotate-secret")
def rotate_secret(context: typer.Context, endpoint_id: str, as_json: Json = False) -> None:
    """Replace an endpoint's secret. For 24 hours, the old one also signs deliveries."""
    with opened_with_secrets(context.obj) as (database, secrets), database.write() as session:
        endpoint = endpoints.known(session, None, endpoint_id, is_test=None, lock=True)
        secret = webhook_secrets.replace(secrets, endpoint)
        audit.record(
            session,
            endpoint.account_id,
            audit.command_line(),
            Action.ENDPOINT_SECRET_ROTATED,
            endpoint_id,
        )
    if as_json:
        print_json({"id": endpoint_id, "webhookSecret": secret})
        return
    typer.echo(secret)
    typer.echo(
        "Save it now: it is not shown again. For 24 hours, the old one also signs deliveries."
    )
