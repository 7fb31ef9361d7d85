"""What people see: results on standard output, progress on standard error, if a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from aistemsplitter._models import Split, TransferProgress
from aistemsplitter.cli.exits import one_line

# Who reads a pipe wants whole lines, however wide a terminal may be.
_WIDE = 250
results = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _WIDE)
progress = Console(stderr=True, soft_wrap=True, highlight=False)


def say(text: object) -> None:
    """Print one line of what came out."""
    results.print(Text(one_line(text)))


def tell(text: object) -> None:
    """Print one line to people, apart from the results."""
    progress.print(Text(one_line(text)))


def as_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on a line of its own."""
    print(json.dumps(dict(value), ensure_ascii=False, default=str), flush=True)


def splits(found: Iterable[Split]) -> None:
    """Print splits as a table."""
    table = Table(box=None, pad_edge=False)
    for heading in ("id", "status", "model", "seconds", "created", "file"):
        table.add_column(heading, no_wrap=heading != "file")  # which alone gives way
    for split in found:
        created = f"{split.created_at:%Y-%m-%d %H:%M}" if split.created_at else ""
        cells = (split.id, state(split), split.stem_model, split.duration_seconds or "", created)
        table.add_row(*(Text(one_line(cell or "")) for cell in (*cells, split.filename)))
    results.print(table)


def state(split: Split) -> str:
    """Say how a split stands."""
    if split.error is not None:
        return f"{split.status} ({split.error.code})"
    if split.status == "processing" and split.progress is not None:
        return f"{split.status} {split.progress:.0%}"
    if split.status == "queued" and split.queue_position:
        return f"{split.status}, {split.queue_position} ahead"
    return split.status


class Bars:
    """The progress of one song: uploaded, separated, downloaded."""

    def __init__(self, bars: Progress, name: str) -> None:
        self._bars, self._name = bars, one_line(name)
        self._tasks: dict[str, TaskID] = {}

    def upload(self, told: TransferProgress) -> None:
        """Show how far the song has got."""
        self._show("upload", f"{self._name}: uploading", told.bytes_done, told.bytes_total)

    def separation(self, split: Split) -> None:
        """Show how far the split has got."""
        self._show("split", f"{self._name}: {one_line(state(split))}", split.progress or 0.0, 1.0)

    def download(self, told: TransferProgress) -> None:
        """Show how far a stem has got."""
        stem = one_line(told.name)
        self._show(stem, f"{self._name}: {stem}", told.bytes_done, told.bytes_total)

    def _show(self, key: str, text: str, done: float, total: float | None) -> None:
        if key not in self._tasks:
            self._tasks[key] = self._bars.add_task(text, total=total)
        self._bars.update(self._tasks[key], description=text, completed=done, total=total)


@contextmanager
def bars() -> Iterator[Callable[[str], Bars]]:
    """Show progress while inside; nothing where standard error is no terminal."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=progress, disable=not progress.is_terminal) as shown:
        yield lambda name: Bars(shown, name)
