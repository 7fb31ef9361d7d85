"""The subcommands: those that run processes here, the others in modules of their own."""

from __future__ import annotations

import json
import socket
from importlib import metadata
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
    storage,
    webhooks,
)
from aistemsplitter_server.cli.doctor import doctor
from aistemsplitter_server.cli.shared import ENV_FILE, opened, remember_env_file
from aistemsplitter_server.cli.up import CannotStart, up
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import checkpoints, heartbeats, ids, imports, jobs, logs, settings
from aistemsplitter_server.kit import env_file as files

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
app.add_typer(storage.app, name="storage")
app.add_typer(secret.app, name="secret")
app.add_typer(config.app, name="config")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"aistemsplitter-server {metadata.version('aistemsplitter-server')}")
        raise typer.Exit


@app.callback()
def _begin(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the database and the secrets.")
    ] = None,
    env_file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="File of settings, NAME=value a line. The data folder remembers that of its"
            " service; without one, a file .env in the working folder is used.",
        ),
    ] = None,
    version: Annotated[  # noqa: ARG001  # its callback prints it
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Run and manage an AI Stem Splitter service."""
    used = files.find(env_file, data or settings.default_data())
    if used is not None:
        files.apply(used)
        if env_file is None and used == Path(files.HERE):
            typer.echo(f"aistemsplitter-server: using the settings in {used.resolve()}", err=True)
    context.obj = settings.load(data=data)
    context.meta[ENV_FILE] = used and used.resolve()


@app.command()
def api(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    descriptor: Annotated[
        int | None,
        typer.Option("--fd", hidden=True, help="Listening socket that `up` passes."),
    ] = None,
    lan_descriptor: Annotated[
        int | None,
        typer.Option("--lan-fd", hidden=True, help="Listening socket of `up --lan`, for https."),
    ] = None,
) -> None:
    """Run the API."""
    with imports.without_collection():
        from aistemsplitter_server.app import create_app
        from aistemsplitter_server.http import lan, listening, serving
        from aistemsplitter_server.http.serving import SecureListener

    chosen = settings.load(data=context.obj.data, host=host, port=port)
    remember_env_file(context)
    logs.configure(level=chosen.log_level)
    jobs.preload()
    # A stalled API may hold SQLite's write lock just like a stalled worker.
    with (
        heartbeats.beating(chosen.data, ids.new("api")),
        opened(chosen) as database,
        checkpoints.running(database),
    ):
        keys = installation.start(chosen, database)
        app = create_app(chosen, database, keys)
        listener = listening.inherited() if descriptor is None else socket.socket(fileno=descriptor)
        secure = None
        if lan_descriptor is not None:
            secure = SecureListener(socket.socket(fileno=lan_descriptor), lan.tls(chosen.data))
        serving.serve(app, chosen, app.state.context.changes.end, listener, secure)


@app.command()
def openapi() -> None:
    """Print the API's OpenAPI document."""
    from aistemsplitter_server.api.app import routed
    from aistemsplitter_server.api.openapi import document

    spec = document(routed(), "http://127.0.0.1:8000")
    typer.echo(json.dumps(spec, indent=2, ensure_ascii=False))


@app.command()
def worker(
    context: typer.Context,
    device: Annotated[
        str | None,
        typer.Option(
            help="Device to separate on, such as cuda:1. A worker that finds no such device does"
            " not start.",
        ),
    ] = None,
    grace: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Seconds from SIGTERM until it has stopped. Running songs may end in all but the"
            " last 10; others are handed over. By default all are handed over at once.",
        ),
    ] = None,
    max_idle: Annotated[
        float | None, typer.Option(min=1, help="Stop after so many seconds without work.")
    ] = None,
    max_songs: Annotated[int | None, typer.Option(min=1, help="Stop after so many songs.")] = None,
) -> None:
    """Run a worker, which separates songs and delivers webhooks."""
    with imports.without_collection():
        from aistemsplitter_server.worker import process
        from aistemsplitter_server.worker.engine import Failed
        from aistemsplitter_server.worker.leaving import Limits

    chosen = settings.load(data=context.obj.data, device=device)
    remember_env_file(context)
    logs.configure(level=chosen.log_level)
    with opened(chosen) as database, checkpoints.running(database):
        try:
            process.run(chosen, database, Limits(grace, max_idle, max_songs))
        except Failed as error:
            raise CannotStart(str(error)) from None
