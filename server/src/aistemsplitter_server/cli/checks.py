"""The checks of ``doctor``. None changes anything, and each runs whatever the others find."""

from __future__ import annotations

import json
import resource
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from aistemsplitter_server.credits.tables import Entry
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.installation.service import WrongInstallation
from aistemsplitter_server.kit import env_file, secrets, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.database import clock as database_clock
from aistemsplitter_server.kit.secrets import UnusableSecret
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.migrations import migrate
from aistemsplitter_server.migrations.migrate import NotMigrated
from aistemsplitter_server.models import queries as models
from aistemsplitter_server.models.catalogue import HTDEMUCS_FT, MODELS
from aistemsplitter_server.operations.health import LITTLE_SPACE
from aistemsplitter_server.sandbox.python import engine_environment
from aistemsplitter_server.splits import queries
from aistemsplitter_server.storage.configured import configured
from aistemsplitter_server.storage.interface import StorageFailed
from aistemsplitter_server.workers import queries as workers
from aistemsplitter_server.workers.tables import SKEW

if TYPE_CHECKING:
    from aistemsplitter_server.storage.s3_bucket import Bucket

NO_SPACE = 1 << 30  # bytes
FEW_FILES, TOO_FEW_FILES = 1024, 256  # that a process may have open
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
# In the engine's error: the machine lacks memory, rather than the package.
NO_MEMORY = ("bad_alloc", "MemoryError", "Cannot allocate memory", "ENOMEM", "out of memory")
FREE_MEMORY = (
    "free up memory, or raise this process's limits (LimitAS= and MemoryMax= of systemd,"
    " ulimit -v, the container's memory)"
)


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


def examine(settings: Settings) -> Iterator[Finding]:
    """Yield the results of all checks. One that fails itself is a problem too."""
    for name, check in CHECKS:
        try:
            yield from check(settings)
        except SQLAlchemyError as error:
            todo = "check the database, or AISTEMSPLITTER_SERVER_DATABASE_URL"
            yield Finding(name, "problem", f"the database cannot be used: {_reason(error)}", todo)
        except OSError as error:
            path = error.filename or settings.data
            todo = f"let the service's user read and write {path}"
            yield Finding(name, "problem", f"{path}: {error.strerror}", todo)
        except Exception as error:
            message = f"could not be checked ({type(error).__name__}: {error})"
            yield Finding(name, "problem", message, "report this at the project's issue tracker")


def settings_file(settings: Settings) -> Iterator[Finding]:
    """Report which file of settings the service was started with."""
    note = settings.data / env_file.REMEMBERED
    if not note.is_file():
        yield Finding("settings", "ok", "from the environment and flags")
        return
    yield Finding("settings", "ok", f"the service uses {note.read_text().strip()}")


def data(settings: Settings) -> Iterator[Finding]:
    """Check that the data folder exists, and is private."""
    folder = settings.data
    if not folder.is_dir():
        todo = "aistemsplitter-server up; if there is data already, mount it or correct --data"
        yield Finding("data", "problem", f"{folder} does not exist", todo)
    elif stat.S_IMODE(folder.stat().st_mode) & 0o077:
        yield Finding("data", "warning", f"{folder} is readable by others", f"chmod 700 {folder}")
    else:
        yield Finding("data", "ok", f"{folder.resolve()}")


def secret(settings: Settings) -> Iterator[Finding]:
    """Check that there is a secret, and that it is that of the database."""
    try:
        with _opened(settings) as database:
            if database is not None:
                with database.read() as session:
                    installation.require_secret(session, settings)
            if not secrets.exists(settings):
                todo = "aistemsplitter-server up, or restore it from a backup if keys exist already"
                path = settings.data / secrets.FILE_NAME
                yield Finding("secret", "problem", f"{path} is missing", todo)
                return
            keys = secrets.of(settings)
            if database is not None:
                with database.read() as session:
                    installation.check_secret(session, keys)
    except UnusableSecret as error:
        reason, _, todo = str(error).partition(": ")
        yield Finding("secret", "problem", reason, todo)
    except WrongInstallation as error:
        yield Finding("secret", "problem", error.problem, error.todo)
    else:
        source = "from the settings" if settings.secret is not None else "in a private file"
        if keys.previous_fingerprint is not None:
            todo = "aistemsplitter-server secret reencrypt, then secret forget"
            message = f"{source}; the previous one is still accepted"
            yield Finding("secret", "warning", message, todo)
        else:
            yield Finding("secret", "ok", source)


def storage(settings: Settings) -> Iterator[Finding]:
    """Check that the storage is that of the database and can be written."""
    if not settings.data.is_dir() or not secrets.exists(settings):
        return  # there is a finding about that
    try:
        found = configured(settings, secrets.of(settings))
        with _opened(settings) as database:
            if database is not None:
                installation.check_storage(database, found)
        found.check(thorough=True)
    except UnusableSecret:
        return
    except WrongInstallation as error:
        yield Finding("storage", "problem", error.problem, error.todo)
    except StorageFailed as error:
        yield Finding("storage", "problem", str(error.strerror), error.todo)
    except OSError as error:
        todo = f"make {settings.data} writable for the service's user, or free up space"
        yield Finding("storage", "problem", f"is not writable ({error.strerror})", todo)
    else:
        place = "" if settings.storage is None else f", with all permissions: {settings.storage}"
        yield Finding("storage", "ok", f"is writable{place}")
        if settings.storage_fallback is not None:
            message = f"files are being moved from {settings.storage_fallback}"
            command = f"aistemsplitter-server storage migrate --to {settings.storage_address}"
            todo = f"{command}, then remove {PREFIX}STORAGE_FALLBACK"
            yield Finding("storage", "warning", message, todo)
        if settings.storage is not None:
            yield from _bucket_rules(settings.storage, settings)


def database(settings: Settings) -> Iterator[Finding]:
    """Check that the database can be used, and has this version's schema."""
    if not _is_there(settings):
        todo = "aistemsplitter-server db upgrade"
        yield Finding("database", "problem", "does not exist yet", todo)
        return
    opened = Database(settings.database)
    try:
        migrate.check(opened)
        yield Finding(
            "database", "ok", f"{'SQLite' if opened.sqlite else 'Postgres'}, schema up to date"
        )
    except NotMigrated as error:
        problem, _, todo = str(error).partition(": ")
        yield Finding("database", "problem", problem, todo.removeprefix("run "))
    except SQLAlchemyError as error:
        todo = "check the database, or AISTEMSPLITTER_SERVER_DATABASE_URL"
        if settings.sqlite_file is not None:
            folder = settings.sqlite_file.parent
            todo = f"make {folder} writable for the service's user, or free up space"
        yield Finding("database", "problem", f"cannot be used: {_reason(error)}", todo)
    finally:
        opened.close()


def running_workers(settings: Settings) -> Iterator[Finding]:
    """Check that a worker is running."""
    with _opened(settings) as opened:
        if opened is None:
            return
        folder = settings.data if settings.data.is_dir() else None
        with opened.read() as session:
            alive = workers.alive_ids(session, folder)
            found = [worker for worker in workers.statuses(session) if worker.id in alive]
            waiting = queries.waiting_for(session, models.lacking(session))
    for worker in found:
        if worker.shortage is not None:
            message = f"{worker.id} on {worker.host} takes no songs for lack of {worker.shortage}"
            todo = f"provide it: {worker.shortage_reason}"
            yield Finding("workers", "problem", message, todo)
        if abs(worker.clock_skew) > SKEW:
            message = f"the clock of {worker.host} differs from the database's"
            by = f"{message} by {worker.clock_skew:.0f} s"
            yield Finding("workers", "problem", by, "set the clock and run NTP")
    if found:
        for model, number in waiting.items():
            message = f"{number} splits wait for {model}, which no worker has"
            todo = f"on a worker's machine: aistemsplitter-server models install {model}"
            yield Finding("workers", "problem", message, todo)
        yield Finding("workers", "ok", f"{len(found)} running")
        return
    todo = "aistemsplitter-server up, or aistemsplitter-server worker if the API runs separately"
    yield Finding("workers", "warning", "none is running; splits stay queued", todo)


def clock(settings: Settings) -> Iterator[Finding]:
    """Compare this clock with the database's, or for SQLite with its newest entry."""
    with _opened(settings) as opened:
        if opened is None:
            return
        with opened.read() as session:
            if opened.sqlite:
                newest = session.scalar(select(func.max(Entry.created_at)))
                away = (newest - times.now()).total_seconds() if newest else 0.0
                problem = "is behind the newest entry of the ledger"
            else:
                away = abs((database_clock(session) - times.now()).total_seconds())
                problem = "differs from the database's"
    if away > SKEW:
        todo = "set the clock and run NTP"
        yield Finding("clock", "problem", f"{problem} by {away:.0f} s", todo)
    else:
        yield Finding("clock", "ok", times.to_wire(times.now()))


def engine(settings: Settings) -> Iterator[Finding]:  # noqa: ARG001  # all checks take it
    """Separate a second of silence, and check which weights are installed."""
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
        yield _broken_engine(done.returncode, done.stderr)
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
    yield space("disk of weights", Path(folder))


def _broken_engine(status: int, stderr: str) -> Finding:
    reason = (stderr.strip().splitlines() or [f"status {status}"])[-1]
    if status == -signal.SIGKILL or any(word in stderr for word in NO_MEMORY):
        return Finding("engine", "problem", f"has too little memory: {reason}", FREE_MEMORY)
    if "No space left" in stderr:
        return Finding("engine", "problem", f"has no disk space: {reason}", "free up space")
    todo = "install aistemsplitter-engine in the server's environment"
    return Finding("engine", "problem", f"cannot separate: {reason}", todo)


def disk_of_data(settings: Settings) -> Iterator[Finding]:
    """Check that the data folder's disk has space."""
    yield space("disk of data", settings.data)


def space(check: str, folder: Path) -> Finding:
    """Check that the disk of a folder has space."""
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


def open_files(settings: Settings) -> Iterator[Finding]:  # noqa: ARG001  # all checks take it
    """Check how many files a process may have open."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    message = f"{'unlimited' if soft == resource.RLIM_INFINITY else soft} per process"
    if soft == resource.RLIM_INFINITY or soft >= FEW_FILES:
        yield Finding("open files", "ok", message)
        return
    possible = FEW_FILES if hard == resource.RLIM_INFINITY else min(FEW_FILES, hard)
    todo = f"ulimit -n {possible}, or LimitNOFILE= in the systemd unit"
    state: Literal["problem", "warning"] = "problem" if soft < TOO_FEW_FILES else "warning"
    yield Finding("open files", state, message, todo)


CHECKS: tuple[tuple[str, Callable[[Settings], Iterator[Finding]]], ...] = (
    ("settings", settings_file),
    ("data", data),
    ("database", database),
    ("secret", secret),
    ("storage", storage),
    ("workers", running_workers),
    ("clock", clock),
    ("engine", engine),
    ("disk of data", disk_of_data),
    ("open files", open_files),
)


def _bucket_rules(address: str, settings: Settings) -> Iterator[Finding]:
    # imported here, since boto3 takes 0.4 s and only services with a bucket need it
    from aistemsplitter_server.storage.s3_bucket import bucket

    found = bucket(address, settings)
    with closing(found.client):
        yield from too_short(found, settings)


def too_short(bucket: Bucket, settings: Settings) -> Iterator[Finding]:
    """Yield the lifecycle rules that delete what the service needs, if the rules can be read."""
    from aistemsplitter_server.storage import s3_rules  # imports boto3

    try:
        found = list(s3_rules.shortened(bucket, settings))
    except StorageFailed:
        return  # it needs a permission that the service can do without
    for rule in found:
        when = "on a date" if rule.days is None else f"after {rule.days} days"
        message = f"lifecycle rule {rule.name} deletes {rule.prefix or 'everything'} {when}"
        todo = "delete or limit it, or renew ours with aistemsplitter-server storage setup"
        yield Finding(
            "lifecycle rules", "problem", f"{message}, while the service still needs it", todo
        )


@contextmanager
def _opened(settings: Settings) -> Iterator[Database | None]:
    """Yield the database; None if it cannot be used, which is a finding of its own."""
    if not _is_there(settings):
        yield None
        return
    opened = Database(settings.database)
    try:
        try:
            migrate.check(opened)
            usable: Database | None = opened
        except (NotMigrated, SQLAlchemyError):
            usable = None
        yield usable
    finally:
        opened.close()


def _is_there(settings: Settings) -> bool:
    """Return whether the database exists. Opening a SQLite file would create it."""
    return settings.sqlite_file is None or settings.sqlite_file.is_file()


def _reason(error: SQLAlchemyError) -> str:
    """Return the driver's message, which does not quote parameters of a statement."""
    message = str(error.orig) if isinstance(error, DBAPIError) else ""
    return (message.strip() or type(error).__name__).splitlines()[0]
