"""``up``: the whole service with one command."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer
from filelock import FileLock, Timeout

from aistemsplitter_server.accounts import people, queries, service
from aistemsplitter_server.accounts.service import NewKey
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.cli import supervisor
from aistemsplitter_server.cli.shared import ENV_FILE, client_settings, remember_env_file
from aistemsplitter_server.cli.supervisor import Child
from aistemsplitter_server.http import listening
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import logs, settings
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.models.catalogue import TINY
from aistemsplitter_server.operations import opening
from aistemsplitter_server.payments.configured import configured

LOCK = "up.lock"  # in the data folder


class CannotStart(Exception):
    """The service cannot start here; the message names the reason and the way out."""


def up(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    demo: Annotated[
        bool | None,
        typer.Option("--demo", help=f"Use {TINY.name} in place of models that are not installed."),
    ] = None,
    offline: Annotated[
        bool | None, typer.Option("--offline", help="Do not download models.")
    ] = None,
) -> None:
    """Run the whole service: initialize the data folder, then run the API and a worker."""
    config = settings.load(data=context.obj.data, host=host, port=port, demo=demo, offline=offline)
    logs.configure(level=config.log_level)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    remember_env_file(context)
    with _alone(config.data), _listener(config) as listener:
        config = config.model_copy(update={"port": listener.getsockname()[1]})
        configured(config)  # without Stripe's library the API would fail again and again
        _greet(config, _prepare(config))
        command = [sys.executable, "-m", "aistemsplitter_server", "--data", str(config.data)]
        if (used := context.meta[ENV_FILE]) is not None:
            command += ["--env-file", str(used)]
        children = [
            # It outlives the API: during a restart, connections wait instead of being refused.
            Child("API", [*command, "api", "--fd", str(listener.fileno())], [listener.fileno()]),
            Child("worker", [*command, "worker"]),
        ]
        environment = {**os.environ, **_as_environment(config)}
        supervisor.supervise(children, environment)
    typer.echo("Stopped. Queued splits continue at the next start.")


def _as_environment(config: Settings) -> dict[str, str]:
    """Return the settings that flags can set, for the environment of the child processes."""
    names = ("host", "port", "demo", "offline")
    return {PREFIX + name.upper(): str(getattr(config, name)) for name in names}


def _alone(data: Path) -> FileLock:
    lock = FileLock(data / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CannotStart(f"{data} is in use by another `up`") from None
    return lock


def _listener(config: Settings) -> socket.socket:
    """Return the API's listening socket, which systemd may have passed."""
    if (passed := listening.inherited()) is not None:
        return passed
    try:
        return listening.listen(config.host, config.port)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {config.host}:{config.port} ({error.strerror});"
            " choose another with --port or --host"
        ) from None


def _prepare(config: Settings) -> tuple[NewKey, str] | None:
    """Initialize the data directory; at the first start, return the owner's key and link."""
    database = Database(config.database)
    try:
        migrate.upgrade(database)
        keys = installation.start(config, database)
        with database.write() as session:
            if queries.owner(session) is not None:
                return None
            actor = audit.command_line()
            free_seconds = config.free_minutes * 60
            owner = opening.owner_account(session, actor, free_seconds=free_seconds)
            key = service.create_key(session, keys, owner.id, name="first key")
            audit.record(session, owner.id, actor, Action.KEY_CREATED, key.id, name="first key")
            audit.record(session, owner.id, actor, Action.PERSON_INVITED)
            return key, people.link(session, keys, owner.id)
    finally:
        database.close()


def _greet(config: Settings, first: tuple[NewKey, str] | None) -> None:
    lines = [f"Base URL        {config.base_url}/v1", f"Data            {config.data.resolve()}"]
    if first is not None:
        key, token = first
        lines += [
            f"Your sign-in    {config.page_url}/join/{token}",
            f"{'':16}works once, within 7 days; for another: aistemsplitter-server accounts link",
            "",
            "To use the API, paste these lines into another shell now. They are not shown again.",
            "For another key: aistemsplitter-server keys create",
            "",
            client_settings(config, key),
            "",
        ]
    else:
        lines.append(f"Pages           {config.page_url}")
    if config.demo:
        lines.append(
            f"Demo: {TINY.name}, a small model trained on synthetic music, replaces four-stem"
            " models that are not installed. It separates real songs poorly."
        )
    typer.echo("\n".join(lines))
