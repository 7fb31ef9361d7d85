"""``credits``: what accounts can spend, in seconds of source audio."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.cli.shared import Json, opened, print_json, print_table
from aistemsplitter_server.credits import queries, service
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.operations import grants

app = typer.Typer(
    no_args_is_help=True, help="Grant, withdraw and show credits, in seconds of source audio."
)


@app.command()
def grant(
    context: typer.Context,
    account: str,
    minutes: Annotated[int | None, typer.Option(min=1, help="Number of minutes to grant.")] = None,
    pack: Annotated[
        int | None, typer.Option(help="Pack to grant, by its number of minutes.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Grant credits to an account: a pack, or any number of minutes."""
    if (minutes is None) == (pack is None):
        raise typer.BadParameter("give either --minutes or --pack")
    if pack is not None and pack not in context.obj.pack_minutes:
        sizes = ", ".join(map(str, context.obj.pack_minutes))
        raise NotFound(f"There is no pack of {pack} minutes; there are {sizes}.")
    reason = f"pack of {pack} minutes" if pack else "granted by the operator"
    with opened(context.obj) as database, database.write() as session:
        seconds = (minutes or pack or 0) * 60
        made = grants.book(session, account, seconds, reason, audit.command_line())
        entry = _shown(made)
    if as_json:
        print_json({"accountId": account, **entry})
    else:
        typer.echo(f"{entry['balance']} seconds")


@app.command()
def withdraw(
    context: typer.Context,
    account: str,
    minutes: Annotated[int, typer.Option(min=1, help="Number of minutes to withdraw.")],
    reason: Annotated[str, typer.Option(help="Reason, shown in the account's usage.")],
    as_json: Json = False,
) -> None:
    """Withdraw credits from an account, such as those of a refunded payment."""
    with opened(context.obj) as database, database.write() as session:
        made = grants.book(session, account, -minutes * 60, reason, audit.command_line())
        entry = _shown(made)
    if as_json:
        print_json({"accountId": account, **entry})
    else:
        typer.echo(f"{entry['balance']} seconds")


@app.command()
def show(context: typer.Context, account: str, as_json: Json = False) -> None:
    """Show an account's balance and its newest ledger entries."""
    with opened(context.obj) as database, database.read() as session:
        rows = [_shown(entry) for entry in queries.entries(session, account, limit=20)]
        balance = service.balance(session, account)
    if as_json:
        print_json({"accountId": account, "balance": balance, "entries": rows})
        return
    typer.echo(f"{balance} seconds")
    titles = {
        "createdAt": "time",
        "kind": "kind",
        "seconds": "seconds",
        "balance": "balance",
        "splitId": "split",
        "reason": "reason",
    }
    print_table(titles, rows)


def _shown(entry: Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "kind": entry.kind,
        "seconds": entry.seconds,
        "balance": entry.balance,
        "splitId": entry.split_id,
        "reason": entry.reason,
        "createdAt": times.to_wire(entry.created_at),
    }
