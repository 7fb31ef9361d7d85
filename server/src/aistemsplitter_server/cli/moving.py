"""The work of ``storage migrate``: its progress, and what to do next."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import typer
from filelock import FileLock, Timeout
from rich import filesize

from aistemsplitter_server.cli.shared import opened_with_secrets
from aistemsplitter_server.installation import service as installation
from aistemsplitter_server.kit.setting_types import DISK
from aistemsplitter_server.kit.settings import PREFIX, Settings
from aistemsplitter_server.storage import copying
from aistemsplitter_server.storage.configured import at
from aistemsplitter_server.storage.copying import Result
from aistemsplitter_server.storage.interface import Storage
from aistemsplitter_server.storage.local import PARTIAL, STORED

LOCK = "migration.lock"  # in the data folder
FOLDER = "migration"  # beside it, for temporary files
PERIOD = 10.0  # seconds between two lines where there is no terminal
MANY = 20  # failed objects, after which a storage is assumed to be down


class CannotMigrate(Exception):
    """Nothing can be copied; the message names the reason and the way out."""


@dataclass(slots=True)
class Tally:
    """The results so far."""

    done: int = 0
    copied: int = 0
    copied_bytes: int = 0
    there: int = 0
    failed: int = 0

    def add(self, result: Result) -> None:
        """Count a result."""
        self.done += 1
        self.copied += result.state == "copied"
        self.copied_bytes += result.size
        self.there += result.state == "there"
        self.failed += result.state == "failed"


def migrate(settings: Settings, to: str, source: str | None = None) -> bool:
    """Copy all files to the storage at an address. Return whether all are there now.

    Raises:
        CannotMigrate: There is nothing to copy from, or another process copies already.
        WrongInstallation: One of the storages belongs to another database.
        StorageFailed: One of the storages cannot be used.
    """
    source = _source(settings, to) if source is None else source
    if source == to:
        raise CannotMigrate(f"--from and --to are both {to}: name two storages")
    with opened_with_secrets(settings) as (database, keys), _alone(settings.data) as folder:
        old, new = (at(address, settings, keys) for address in (source, to))
        installation.claim_storage(database, old, folder)
        new.check(thorough=True)
        installation.check_target(database, new, to)
        tally = _copy(old, new, folder, live=to == settings.storage_address)
        typer.echo(
            f"Copied {tally.copied} files ({filesize.decimal(tally.copied_bytes)}) from {source}"
            f" to {to}; {tally.there} were there already."
        )
        if tally.failed:
            typer.echo("Not all files could be copied. Run the command again.", err=True)
            return False
        installation.check_storage(database, old)  # it would look empty if it were unmounted
        installation.adopt_storage(database, new, folder)
    typer.echo(_next_step(settings, source, to))
    return True


def _source(settings: Settings, to: str) -> str:
    if to != settings.storage_address:
        return settings.storage_address
    if settings.storage_fallback is not None:
        return settings.storage_fallback
    raise CannotMigrate(
        f"the service already stores its files in {to}: name another storage with --to, or the one"
        " to copy from with --from"
    )


@contextmanager
def _alone(data: Path) -> Iterator[Path]:
    """Yield an empty folder for temporary files, without those of a process that was killed."""
    lock = FileLock(data / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise CannotMigrate(
            f"another `storage migrate` is at work in {data}: wait until it ends"
        ) from None
    folder = data / FOLDER
    with lock:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _copy(old: Storage, new: Storage, folder: Path, *, live: bool) -> Tally:
    tally = Tally()
    with _progress(copying.count(old)) as show:
        for result in copying.copy_all(old, new, folder, live=live):
            tally.add(result)
            if result.state == "failed":
                typer.echo(f"{result.key}: {result.problem}", err=True)
                if tally.failed == MANY:
                    break
            show(tally)
    return tally


@contextmanager
def _progress(total: int) -> Iterator[Callable[[Tally], None]]:
    """Yield a function that shows the results so far: as a bar in a terminal, else as lines."""
    if sys.stdout.isatty():
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
        with Progress(*columns, TimeRemainingColumn(), transient=True) as bar:
            task = bar.add_task("", total=total)

            def update(tally: Tally) -> None:
                copied = filesize.decimal(tally.copied_bytes)
                bar.update(task, completed=tally.done, description=f"files, {copied} copied")

            yield update
        return
    typer.echo(f"{total} files")
    due = time.monotonic() + PERIOD

    def line(tally: Tally) -> None:
        nonlocal due
        if time.monotonic() >= due:
            due = time.monotonic() + PERIOD
            copied = filesize.decimal(tally.copied_bytes)
            typer.echo(f"{tally.done} of {total} files, {copied} copied")

    yield line


def _next_step(settings: Settings, source: str, to: str) -> str:
    storage, fallback = f"{PREFIX}STORAGE", f"{PREFIX}STORAGE_FALLBACK"
    if to != settings.storage_address:
        change = f"remove {storage}" if to == DISK else f"set {storage}={to}"
        return (
            f"Next: {change}, set {fallback}={source}, restart all processes of the service, and"
            " run this command again: it copies what was stored in between."
        )
    done = f"All files are in {to}."
    if settings.storage_fallback == source:
        done += f" Next: remove {fallback} and restart all processes of the service."
    if source == DISK:
        place = f"{settings.data / STORED} and {settings.data / PARTIAL}"
    else:
        place = f"the files in {source}"
    return f"{done} Then delete {place}, which hold copies of songs that users may delete."
