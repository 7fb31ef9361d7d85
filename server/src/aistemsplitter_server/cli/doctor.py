"""``doctor``: checks the service and this machine, and prints how to fix problems."""

from __future__ import annotations

import json
import resource
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import typer
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from aistemsplitter_server.cli.shared import Json, print_json
from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.kit import secrets, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import UnusableSecret
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.migrations.migrate import NotMigrated
from aistemsplitter_server.models.catalogue import HTDEMUCS_FT, MODELS
from aistemsplitter_server.sandbox.python import engine_environment
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.workers import queries as workers

LITTLE_SPACE, NO_SPACE = 10 << 30, 1 << 30  # bytes; a song of an hour needs 5 GB
FEW_FILES, TOO_FEW_FILES = 1024, 256  # that a process may have open
SKEW = 5.0  # seconds by which two clocks may differ
ENGINE_TIMEOUT = 120.0  # seconds
# Separates a second of silence, then prints which models are installed, and where.
ENGINE = """
import json
import numpy as np
from aistemsplitter_engine import AudioArray, Separator
from aistemsplitter_engine.weights.store import is_installed, models_folder
silence = AudioArray(np.zeros((2, 44100), np.float32), 44100)
for block in Separator("htdemucs_tiny").separate(silence): pass
names = {names}
print(json.dumps([[name for name in names if is_installed(name)], str(models_folder())]))
"""
MARKS = {
    "ok": ("ok", typer.colors.GREEN),
    "warning": ("warning", typer.colors.YELLOW),
    "problem": ("PROBLEM", typer.colors.RED),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check, as ``--json`` prints it.

    Attributes:
        todo: How to fix it, if it is not ``ok``.
    """

    check: str
    state: Literal["ok", "warning", "problem"]
    message: str
    todo: str | None = None


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check the service and this machine without changing anything. Exit with 1 on problems."""
    findings = []
    for finding in examine(context.obj):
        findings.append(finding)
        if not as_json:
            _show(finding)
    sound = all(finding.state != "problem" for finding in findings)
    if as_json:
        print_json({"ok": sound, "checks": [asdict(finding) for finding in findings]})
    raise typer.Exit(0 if sound else 1)


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the results of all checks."""
    yield from _data(settings)
    yield from _database(settings)
    yield from _engine()
    yield _space("disk of data", settings.data)
    yield _open_files()


def _data(settings: Settings) -> Iterator[Finding]:
    data = settings.data
    if not data.is_dir():
        yield Finding("data", "problem", f"{data} does not exist", "aistemsplitter-server up")
        return
    if stat.S_IMODE(data.stat().st_mode) & 0o077:
        yield Finding("data", "warning", f"{data} is readable by others", f"chmod 700 {data}")
    else:
        yield Finding("data", "ok", f"{data.resolve()}")
    try:
        if settings.secret is not None or (data / secrets.FILE_NAME).exists():
            keys = secrets.of(settings)
        else:
            todo = "aistemsplitter-server up, or restore it from a backup if keys exist already"
            yield Finding("secret", "problem", f"{data / secrets.FILE_NAME} is missing", todo)
            return
    except UnusableSecret as error:
        reason, _, todo = str(error).partition(": ")
        yield Finding("secret", "problem", reason, todo)
        return
    source = "from the settings" if settings.secret is not None else "in a private file"
    yield Finding("secret", "ok", source)
    try:
        configured(settings, keys).check()
    except OSError as error:
        todo = f"make {error.filename or data} writable for the service's user, or free up space"
        yield Finding("storage", "problem", f"is not writable ({error.strerror})", todo)
    else:
        yield Finding("storage", "ok", "is writable")


def _database(settings: Settings) -> Iterator[Finding]:
    database = Database(settings.database) if _is_there(settings) else None
    if database is None:
        yield Finding(
            "database", "problem", "does not exist yet", "aistemsplitter-server db upgrade"
        )
        return
    try:
        migrate.check(database)
        kind = "SQLite" if database.sqlite else "Postgres"
        yield Finding("database", "ok", f"{kind}, schema up to date")
        yield _workers(database, settings)
        yield _clock(database)
    except NotMigrated:
        todo = "aistemsplitter-server db upgrade"
        yield Finding("database", "problem", "its schema does not match this version", todo)
    except SQLAlchemyError as error:
        todo = "check the database, or AISTEMSPLITTER_SERVER_DATABASE_URL"
        yield Finding("database", "problem", f"cannot be used: {_reason(error)}", todo)
    finally:
        database.close()


def _is_there(settings: Settings) -> bool:
    """Return whether the database exists. Opening a SQLite file would create it."""
    return settings.sqlite_file is None or settings.sqlite_file.is_file()


def _reason(error: SQLAlchemyError) -> str:
    """Return the driver's message, which does not quote parameters of a statement."""
    message = str(error.orig) if isinstance(error, DBAPIError) else ""
    return (message.strip() or type(error).__name__).splitlines()[0]


def _workers(database: Database, settings: Settings) -> Finding:
    with database.read() as session:
        count = len(workers.alive_ids(session, settings.data if settings.data.is_dir() else None))
    if count:
        return Finding("workers", "ok", f"{count} running")
    todo = "aistemsplitter-server up, or aistemsplitter-server worker if the API runs separately"
    return Finding("workers", "warning", "none is running; splits stay queued", todo)


def _clock(database: Database) -> Finding:
    """Compare this clock with the database's, or for SQLite with its newest entry."""
    with database.read() as session:
        if database.sqlite:
            newest = session.scalar(select(func.max(Entry.created_at)))
            away = (newest - times.now()).total_seconds() if newest else 0.0
            problem = "is behind the newest entry of the ledger"
        else:
            now: datetime = session.scalars(select(func.clock_timestamp())).one()
            away = abs((now - times.now()).total_seconds())
            problem = "differs from the database's"
    if away > SKEW:
        return Finding(
            "clock", "problem", f"{problem} by {away:.0f} s", "set the clock and run NTP"
        )
    return Finding("clock", "ok", times.to_wire(times.now()))


def _engine() -> Iterator[Finding]:
    names = [model.name for model in MODELS]
    command = [sys.executable, "-c", ENGINE.replace("{names}", repr(names))]
    try:
        done = subprocess.run(
            command,
            env=engine_environment(),  # the environment of the worker's engine
            capture_output=True,
            text=True,
            timeout=ENGINE_TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        todo = "check whether this machine is overloaded"
        yield Finding("engine", "problem", f"took over {ENGINE_TIMEOUT:.0f} s", todo)
        return
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1]
        todo = "install aistemsplitter-engine in the server's environment"
        yield Finding("engine", "problem", f"cannot separate: {reason}", todo)
        return
    installed, folder = json.loads(done.stdout.splitlines()[-1])
    yield Finding("engine", "ok", "separates")
    missing = [name for name in names if name not in installed]
    if missing:
        todo = f"aistemsplitter-server models install {' '.join(missing)}"
        default = " (the default)" if HTDEMUCS_FT.name in missing else ""
        yield Finding("weights", "warning", f"missing{default}: {', '.join(missing)}", todo)
    else:
        yield Finding("weights", "ok", ", ".join(installed))
    yield _space("disk of weights", Path(folder))


def _space(check: str, folder: Path) -> Finding:
    existing = folder.resolve()
    while not existing.exists():
        existing = existing.parent
    free = shutil.disk_usage(existing).free
    message = f"{free / 1e9:.1f} GB free at {existing}"
    if free < NO_SPACE:
        return Finding(check, "problem", message, "free up space")
    if free < LITTLE_SPACE:
        return Finding(
            check, "warning", message, "free up space: splitting an hour of audio needs 5 GB"
        )
    return Finding(check, "ok", message)


def _open_files() -> Finding:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    message = f"{'unlimited' if soft == resource.RLIM_INFINITY else soft} per process"
    if soft == resource.RLIM_INFINITY or soft >= FEW_FILES:
        return Finding("open files", "ok", message)
    possible = FEW_FILES if hard == resource.RLIM_INFINITY else min(FEW_FILES, hard)
    todo = f"ulimit -n {possible}, or LimitNOFILE= in the systemd unit"
    return Finding("open files", "problem" if soft < TOO_FEW_FILES else "warning", message, todo)


def _show(finding: Finding) -> None:
    mark, colour = MARKS[finding.state]
    label = typer.style(f"{mark:8}", fg=colour)
    typer.echo(f"{label} {finding.check:16} {finding.message}")
    if finding.todo:
        typer.echo(f"{'':8} {'':16} -> {finding.todo}")
