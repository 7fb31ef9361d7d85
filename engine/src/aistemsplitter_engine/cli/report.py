"""What ``split`` tells a person (on the terminal) and a program (JSON lines on standard output)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from aistemsplitter_engine.cli.songs import Job
    from aistemsplitter_engine.split import SplitResult


class Report:
    """Lines for each song, and at the end the list of those that failed."""

    def __init__(self, as_json: bool) -> None:
        self._json = as_json
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.failures: list[str] = []
        self._songs = 0

    @contextmanager
    def progress(self, job: Job) -> Iterator[Callable[[float], None]]:
        """Show a bar for a song while there is a terminal to show it on."""
        if not self._console.is_terminal:
            yield lambda _: None
            return
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(job.song.name, total=1.0)
            yield lambda fraction: bar.update(task, completed=fraction)

    def note(self, text: str) -> None:
        """Tell a person something that is not about one song."""
        self._console.print(Text(text))

    def done(self, job: Job, model: str, result: SplitResult) -> None:
        """Report a song that was split."""
        speed = result.duration / result.elapsed
        line = (
            f"{job.song}: {', '.join(result.stems)} in {job.folder} ({speed:.1f} times real time)"
        )
        if result.gain < 1:
            line += f"; all stems turned down to {result.gain:.2f} to stay within full scale"
        self._person(line)
        for warning in result.warnings:
            self._person(f"{job.song}: {warning}")
        self._program(
            job,
            "done",
            model=model,
            stems={stem: str(path) for stem, path in result.stems.items()},
            durationSeconds=round(result.duration, 3),
            elapsedSeconds=round(result.elapsed, 3),
            sampleRate=result.sample_rate,
            frames=result.frames,
            gain=result.gain,
            warnings=list(result.warnings),
        )

    def skipped(self, job: Job, paths: dict[str, Path]) -> None:
        """Report a song whose stems are there."""
        self._person(
            f"{job.song}: skipped, its stems are in {job.folder} (--overwrite splits again)"
        )
        self._program(job, "skipped", stems={stem: str(path) for stem, path in paths.items()})

    def failed(self, reason: str, job: Job | None = None) -> None:
        """Report a song, or the whole command, that failed."""
        self.failures.append(reason)
        self._console.print(Text(f"Error: {reason}"))
        self._program(job, "failed", error=reason)

    def close(self) -> None:
        """List once more what failed among several songs."""
        if self.failures and self._songs > 1:
            self._console.print(Text(f"{len(self.failures)} of {self._songs} failed:"))
            for failure in self.failures:
                self._console.print(Text(f"  {failure}"))

    def _person(self, line: str) -> None:
        if not self._json:
            print(line, flush=True)

    def _program(self, job: Job | None, status: str, **facts: Any) -> None:
        self._songs += 1
        if self._json:
            song = None if job is None else str(job.song)
            print(json.dumps({"song": song, "status": status, **facts}), flush=True)
