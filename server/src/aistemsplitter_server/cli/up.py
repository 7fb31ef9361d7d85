"""``up``: the whole service with one command."""

from __future__ import annotations

import io
import os
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import segno
import typer
from filelock import FileLock, Timeout

from aistemsplitter_server.accounts import people, queries, service
from aistemsplitter_server.accounts.service import NewKey
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.cli import supervisor
from aistemsplitter_server.cli.shared import ENV_FILE, client_settings, remember_env_file
from aistemsplitter_server.cli.supervisor import Child
from aistemsplitter_server.http import lan, listening
from aistemsplitter_server.http.lan import Identity
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit import logs, settings, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.models.catalogue import TINY
from aistemsplitter_server.operations import opening
from aistemsplitter_server.payments.configured import configured

LOCK = "up.lock"  # in the data folder
EVERYWHERE = "0.0.0.0"


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
    on_lan: Annotated[
        bool | None,
        typer.Option(
            "--lan",
            help="Also serve phones and computers on the local network, over https with a"
            " certificate of its own.",
        ),
    ] = None,
) -> None:
    """Run the whole service: initialize the data folder, then run the API and a worker."""
    config = settings.load(
        data=context.obj.data, host=host, port=port, demo=demo, offline=offline, lan=on_lan
    )
    logs.configure(level=config.log_level)
    config.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    remember_env_file(context)
    with ExitStack() as opened:
        opened.enter_context(_alone(config.data))
        listener = opened.enter_context(_listener(config))
        config = config.model_copy(update={"port": listener.getsockname()[1]})
        lan_listener = opened.enter_context(_lan_listener(config)) if config.lan else None
        configured(config)  # without Stripe's library the API would fail again and again
        first = _prepare(config)
        _greet(config, first)
        sockets = {"--fd": listener.fileno()}
        if lan_listener is not None:
            sockets["--lan-fd"] = lan_listener.fileno()
            networks = lan.addresses()
            identity = lan.identity(config.data, networks, times.now())
            _greet_lan(identity, networks, lan_listener.getsockname()[1], first)
        command = [sys.executable, "-m", "aistemsplitter_server", "--data", str(config.data)]
        if (used := context.meta[ENV_FILE]) is not None:
            command += ["--env-file", str(used)]
        children = [
            # The sockets outlive the API: while it restarts, connections wait.
            Child("API", [*command, "api", *_as_flags(sockets)], list(sockets.values())),
            Child("worker", [*command, "worker"]),
        ]
        environment = {**os.environ, **_as_environment(config)}
        supervisor.supervise(children, environment)
    typer.echo("Stopped. Queued splits continue at the next start.")


def _as_flags(values: Mapping[str, object]) -> list[str]:
    return [text for name, value in values.items() for text in (name, str(value))]


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


def _lan_listener(config: Settings) -> socket.socket:
    """Return the listening socket for https on the local network."""
    if config.public_url is not None:
        raise CannotStart(
            f"--lan: links would lead to {config.public_url}; remove {PREFIX}PUBLIC_URL, or leave"
            " https to the proxy there"
        )
    try:
        return listening.listen(EVERYWHERE, config.lan_port)
    except OSError as error:
        raise CannotStart(
            f"cannot listen on port {config.lan_port} for --lan ({error.strerror});"
            f" choose another with {PREFIX}LAN_PORT"
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


def _greet_lan(
    identity: Identity, networks: Sequence[str], port: int, first: tuple[NewKey, str] | None
) -> None:
    """Print how other devices on the local network reach the pages."""
    if not networks:
        typer.echo("No network found. Connect this computer to one and start again.\n")
        return
    base, *others = (f"https://{address}:{port}" for address in networks)
    lines = [
        f"On your network {base}",
        *(f"{'':16}{other}" for other in others),
        f"Fingerprint     SHA-256 {identity.fingerprint}",
        "",
        "Scan the code with a phone on the same network. Its browser warns that it does not know",
        "the certificate, which this computer has signed itself. Continue if the certificate that",
        "it shows has this fingerprint.",
        "",
    ]
    typer.echo("\n".join(lines))
    try:
        typer.echo(_qr_code(base if first is None else f"{base}/join/{first[1]}"))
    except UnicodeEncodeError:  # such as in a log in ASCII
        typer.echo("The code cannot be shown here. Type the address instead.\n")


def _qr_code(text: str) -> str:
    """Return a QR code drawn with blocks, for a terminal with a dark background."""
    drawn = io.StringIO()
    segno.make(text, error="l", micro=False).terminal(drawn, compact=True, border=2)
    return drawn.getvalue()
