"""Output of the command: results on standard output, messages and progress on standard error."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from aistemsplitter._base import BaseClient
from aistemsplitter._models import Model, Split, TransferProgress, Usage
from aistemsplitter.cli.exits import INTERRUPTED, one_line

# Width outside a terminal, so that tables in a pipe are not wrapped.
_WIDE = 250
_MOST_NAMES = 3
results = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _WIDE)
progress = Console(stderr=True, soft_wrap=True, highlight=False)


def line(text: object) -> None:
    """Print a line of results."""
    results.print(Text(one_line(text)))


def message(text: object) -> None:
    """Print a message."""
    progress.print(Text(one_line(text)))


def as_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    print(json.dumps(dict(value), ensure_ascii=False, default=str), flush=True)


def splits(found: Iterable[Split]) -> None:
    """Print splits as a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "status", "model", "seconds", "created", "file"):
        table.add_column(heading, no_wrap=heading != "file")
    for split in found:
        created = f"{split.created_at:%Y-%m-%d %H:%M}" if split.created_at else ""
        cells = (split.id, state(split), split.stem_model, split.duration_seconds or "", created)
        table.add_row(*(Text(one_line(cell or "")) for cell in (*cells, split.filename)))
    results.print(table)


def split(found: Split, json: bool) -> None:
    """Print a split with the URLs of its stems."""
    if json:
        as_json(found.raw)
        return
    splits([found])
    if found.error is not None:
        line(found.error.message)
    for warning in found.warnings:
        line(f"Note: {warning}")
    for stem, url in found.stems.items():
        line(f"{stem}  {url}")


def stems(done: Split, paths: Mapping[str, Path], json: bool, **more: str) -> None:
    """Print the paths of a split's stems.

    Args:
        done: The split.
        paths: Path of each stem.
        json: True to print a JSON object.
        more: Additional fields of the JSON object.
    """
    if json:
        files = {stem: str(path) for stem, path in paths.items()}
        as_json({"id": done.id, "status": done.status, **more, "files": files})
        return
    for path in paths.values():
        line(path)


def models(found: Iterable[Model]) -> None:
    """Print models as a table."""
    table = Table("model", "stems", "installed", box=None, pad_edge=False)
    installed = {True: "yes", False: "no", None: ""}
    for model in found:
        cells = (" / ".join((model.id, *model.aliases)), ", ".join(model.stems))
        table.add_row(*(Text(one_line(cell)) for cell in (*cells, installed[model.installed])))
    results.print(table)


def usage(found: Usage) -> None:
    """Print the days with usage as a table, and the total."""
    table = Table("day", "seconds", "splits", box=None, pad_edge=False)
    for day in found.days:
        if day.splits:
            table.add_row(str(day.day), str(day.seconds), str(day.splits))
    table.add_row("total", str(found.seconds), str(found.splits))
    results.print(table)


def state(split: Split) -> str:
    """Return a split's status with its error code, progress or position in the queue."""
    if split.error is not None:
        return f"{split.status} ({split.error.code})"
    if split.status == "processing" and split.progress is not None:
        return f"{split.status} {split.progress:.0%}"
    if split.status == "queued" and split.queue_position:
        return f"{split.status}, {split.queue_position} ahead"
    return split.status


class Notes:
    """Warnings about splits, printed once each at the end of a run."""

    def __init__(self) -> None:
        self._songs: dict[tuple[str, str], list[str]] = {}

    def add(self, client: BaseClient, song: str, done: Split) -> None:
        """Keep the warnings about a song's split."""
        service = urlsplit(client._session.base_url).netloc
        for warning in done.warnings:
            self._songs.setdefault((service, warning), []).append(song)

    def print(self) -> None:
        """Print each warning with the service that it comes from and the songs that it is about."""
        for (service, warning), songs in self._songs.items():
            message(f"Note from {service} about {names(songs)}: {warning}")


def names(songs: Sequence[str]) -> str:
    """Return the names of songs as a phrase that stays short."""
    shown = [*songs] if len(songs) <= _MOST_NAMES else [*songs[:2], f"{len(songs) - 2} other songs"]
    *first, last = shown
    return f"{', '.join(first)} and {last}" if first else last


class Bars:
    """Progress bars of one song: upload, separation and downloads."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars, self._name = bars, one_line(name)
        self._tasks: dict[str, TaskID] = {}

    def upload(self, now: TransferProgress) -> None:
        """Show the progress of the upload."""
        self._show("upload", f"{self._name}: uploading", now.bytes_done, now.bytes_total)

    def separation(self, split: Split) -> None:
        """Show the progress of the separation."""
        self._show("split", f"{self._name}: {one_line(state(split))}", split.progress or 0.0, 1.0)

    def download(self, now: TransferProgress) -> None:
        """Show the progress of a stem's download."""
        stem = one_line(now.name)
        self._show(stem, f"{self._name}: {stem}", now.bytes_done, now.bytes_total)

    def _show(self, key: str, text: str, done: float, total: float | None) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(text, total=total)
        self._bars.update(self._tasks[key], description=text, completed=done, total=total)


#: Function that creates the progress bars of a song, given its name.
NewBars: TypeAlias = Callable[[str], Bars]


@contextmanager
def bars() -> Iterator[NewBars]:
    """Show progress bars inside the block, if standard error is a terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=progress, disable=not progress.is_terminal) as shown:
        yield lambda name: Bars(shown, name)


@contextmanager
def interruptible(way_out: str = "run the same command again") -> Iterator[None]:
    """Print a line on Ctrl-C and exit with the code for an interruption.

    Args:
        way_out: What happened and how to continue, printed after "Interrupted".
    """
    try:
        yield
    except KeyboardInterrupt:
        ignore_interruptions()
        message(f"Interrupted; {way_out}")
        raise typer.Exit(INTERRUPTED) from None


def ignore_interruptions() -> None:
    """Ignore Ctrl-C from here on: the command says what it left behind, and ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
