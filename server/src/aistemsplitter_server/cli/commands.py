"""The subcommands: those that run processes here, the others in modules of their own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from aistemsplitter_server.cli import (
    accounts,
    audit,
    config,
    credits,
    db,
    keys,
    models,
    secret,
    splits,
    webhooks,
)
from aistemsplitter_server.cli.doctor import doctor
from aistemsplitter_server.cli.shared import opened
from aistemsplitter_server.cli.up import up
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import checkpoints, heartbeats, ids, jobs, logs, settings

app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, add_completion=False)
app.command()(up)
app.command()(doctor)
app.add_typer(db.app, name="db")
app.add_typer(accounts.app, name="accounts")
app.add_typer(keys.app, name="keys")
app.add_typer(credits.app, name="credits")
app.add_typer(splits.app, name="splits")
app.add_typer(audit.app, name="audit")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(models.app, name="models")
app.add_typer(secret.app, name="secret")
app.add_typer(config.app, name="config")


@app.callback()
def _begin(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the database and the secrets.")
    ] = None,
) -> None:
    """Run and manage an AI Stem Splitter service."""
    context.obj = settings.load(data=data)


@app.command()
def api(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
) -> None:
    """Run the API."""
    from aistemsplitter_server.app import create_app
    from aistemsplitter_server.http import serving

    chosen = settings.load(data=context.obj.data, host=host, port=port)
    logs.configure()
    jobs.preload()
    # A stalled API may hold SQLite's write lock just like a stalled worker.
    with (
        heartbeats.beating(chosen.data, ids.new("api")),
        opened(chosen) as database,
        checkpoints.running(database),
    ):
        keys = installation.start(chosen, database)
        serving.serve(create_app(chosen, database, keys), chosen)


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI document."""
    from aistemsplitter_server.api.app import routed
    from aistemsplitter_server.api.openapi import document

    spec = document(routed(), "http://127.0.0.1:8000")
    typer.echo(json.dumps(spec, indent=2, ensure_ascii=False))


@app.command()
def worker(context: typer.Context) -> None:
    """Run a worker, which separates songs and delivers webhooks."""
    from aistemsplitter_server.worker import process

    logs.configure()
    with opened(context.obj) as database, checkpoints.running(database):
        process.run(context.obj, database)
