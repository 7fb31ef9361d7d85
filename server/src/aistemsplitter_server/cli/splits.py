"""``splits``: the splits of all accounts."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer
from sqlalchemy.orm import Session

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.cli.shared import Json, opened_with_secrets, print_json, print_table
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.splits import actions, queries, rendering
from aistemsplitter_server.splits.schemas import Status
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage.configured import configured

app = typer.Typer(no_args_is_help=True, help="List, cancel and retry splits.")


@app.command("list")
def list_splits(
    context: typer.Context,
    account: Annotated[str | None, typer.Option(help="Only this account's splits.")] = None,
    status: Annotated[Status | None, typer.Option(help="Only splits with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Maximum number of splits.")] = 20,
    as_json: Json = False,
) -> None:
    """List splits, newest first."""
    with opened_with_secrets(context.obj) as (database, keys), database.read() as session:
        found = queries.latest(session, account_id=account, status=status, limit=limit)
    rows = [_shown(context.obj, keys, split) for split in found]
    if as_json:
        print_json(rows)
        return
    titles = {
        "id": "id",
        "accountId": "account",
        "status": "status",
        "progress": "done",
        "filename": "song",
        "servedBy": "model",
        "createdAt": "created",
    }
    print_table(titles, [{**row, "progress": f"{row['progress']:.0%}"} for row in rows])


@app.command()
def show(context: typer.Context, split_id: str, as_json: Json = False) -> None:
    """Show a split and the URLs of its stems."""
    with opened_with_secrets(context.obj) as (database, keys), database.read() as session:
        shown = _shown(context.obj, keys, _known(session, split_id))
    if as_json:
        print_json(shown)
        return
    for name, value in shown.items():
        if isinstance(value, dict):
            value = "".join(f"\n  {key:12} {inner}" for key, inner in value.items())
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        typer.echo(f"{name:16} {'' if value is None else value}".rstrip())


@app.command()
def cancel(context: typer.Context, split_id: str, as_json: Json = False) -> None:
    """Cancel a split and refund its charge."""
    with opened_with_secrets(context.obj) as (database, keys), database.write() as session:
        split = _known(session, split_id)
        actions.cancel(session, split, audit.command_line())
    if as_json:
        print_json(_shown(context.obj, keys, split))
    else:
        typer.echo(f"{split_id} is cancelled.")


@app.command()
def retry(context: typer.Context, split_id: str, as_json: Json = False) -> None:
    """Retry a failed split. The new split is charged."""
    with opened_with_secrets(context.obj) as (database, keys), database.write() as session:
        failed = _known(session, split_id)
        split, _ = actions.retry(session, context.obj, failed, audit.command_line())
    if as_json:
        print_json(_shown(context.obj, keys, split))
    else:
        typer.echo(f"Retried as {split.id}.")


def _known(session: Session, split_id: str) -> Split:
    split = queries.locked(session, split_id)
    if split is None:
        raise NotFound(f"There is no split {split_id}.")
    return split


def _shown(settings: Settings, secrets: Secrets, split: Split) -> dict[str, Any]:
    """Return the split as the API shows it, with the operator's additional fields."""
    storage = configured(settings, secrets)
    lifetime = timedelta(seconds=settings.download_url_seconds)
    shown = rendering.render(split, storage, lifetime).model_dump(mode="json", by_alias=True)
    return {
        **shown,
        "accountId": split.account_id,
        "keyId": split.key_id,
        "attempts": split.attempt,
        "workerId": split.worker_id,
    }
