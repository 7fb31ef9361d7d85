"""The output of ``split``: lines for a person, or JSON lines on standard output for a program."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aistemsplitter_engine.messages import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from aistemsplitter_engine.cli.songs import Job
    from aistemsplitter_engine.pipeline.write import SplitResult

_LONGEST_NAME = 40  # characters, beside a progress bar


class ProgressBars:
    """Progress bars of songs, or none without a display."""

    def __init__(self, display: Progress | None) -> None:
        self._display = display
        self._bars: dict[Job, TaskID] = {}

    def show(self, job: Job, fraction: float) -> None:
        """Show the fraction done of a song."""
        if self._display is None:
            return
        if job not in self._bars:
            name = printable(job.song.name)[:_LONGEST_NAME]
            self._bars[job] = self._display.add_task(name, total=1.0)
        self._display.update(self._bars[job], completed=fraction)

    @contextmanager
    def without(self, job: Job) -> Iterator[None]:
        """Remove a song's bar, and hide the others while lines are printed."""
        if self._display is None:
            yield
            return
        if (bar := self._bars.pop(job, None)) is not None:
            self._display.remove_task(bar)
        self._display.stop()
        yield
        self._display.start()


class ProgressLines:
    """Lines of JSON on standard output with the progress of songs, one for each percent."""

    def __init__(self) -> None:
        self._percents: dict[Job, int] = {}

    def show(self, job: Job, fraction: float) -> None:
        """Print the fraction done of a song."""
        percent = int(fraction * 100)
        if percent > self._percents.get(job, -1):
            self._percents[job] = percent
            fields = {"song": str(job.song), "status": "progress", "fraction": percent / 100}
            # In one write, because songs in progress at once report from several threads.
            print(json.dumps(fields) + "\n", end="", flush=True)

    @contextmanager
    def without(self, _job: Job) -> Iterator[None]:
        """Do nothing: other lines do not disturb these."""
        yield


class Report:
    """A report of each song, and at the end a list of those that failed.

    Args:
        as_json: True to print lines of JSON on standard output.
        with_progress: True to print lines of JSON with the progress too.
    """

    def __init__(self, as_json: bool, with_progress: bool = False) -> None:
        self._json = as_json
        self._lines = with_progress
        self._reported = 0
        self._failures: list[str] = []

    @property
    def failed_any(self) -> bool:
        """True if a song, or the whole command, failed."""
        return bool(self._failures)

    @contextmanager
    def progress(self) -> Iterator[ProgressBars | ProgressLines]:
        """Show a progress bar for each song in progress if there is a terminal, or print lines."""
        if self._lines:
            yield ProgressLines()
            return
        if not sys.stderr.isatty():
            yield ProgressBars(None)
            return
        from rich.progress import (
            BarColumn,
            Progress,
            TaskProgressColumn,
            TextColumn,
            TimeRemainingColumn,
        )

        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TaskProgressColumn(),
            TimeRemainingColumn(),
        )
        display = Progress(
            *columns,
            console=self._console,
            transient=True,
            redirect_stdout=sys.stdout.isatty(),  # else its lines would go to standard error
        )
        with display:
            yield ProgressBars(display)

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console  # imported late, so that networks load sooner

        return Console(stderr=True, highlight=False, soft_wrap=True)

    def note(self, text: str) -> None:
        """Print a line about the whole run on standard error."""
        from rich.text import Text

        self._console.print(Text(printable(text)))

    def done(self, job: Job, model: str, result: SplitResult) -> None:
        """Report a song that was split."""
        stems = ", ".join(result.stems)
        speed = result.duration / max(result.elapsed, 1e-3)
        line = f"{job.song}: {stems} in {job.folder} ({speed:.1f} times real time)"
        if result.gain < 1:
            line += f"; all stems attenuated to {result.gain:.3g} to stay within full scale"
        self._person(line)
        for warning in result.warnings:
            self._person(f"{job.song}: {warning}")
        self._program(
            job.song,
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
        """Report a song whose stems exist already."""
        self._person(
            f"{job.song}: skipped, its stems are in {job.folder} (--overwrite splits again)"
        )
        self._program(job.song, "skipped", stems={stem: str(path) for stem, path in paths.items()})

    def failed(self, error: str, song: Path | None = None) -> None:
        """Report a song, or the whole command, that failed."""
        self._failures.append(error)
        self.note(f"Error: {error}")
        self._program(song, "failed", error=error)

    def stopped(self, *, resumable: bool) -> None:
        """Report that the run was stopped by Ctrl-C or a signal."""
        way_out = " To continue, run the same command with --resume." if resumable else ""
        self.note(f"Stopped.{way_out}")
        self._program(None, "stopped")

    def close(self) -> None:
        """List the failures again if there were several songs."""
        if self._failures and self._reported > 1:
            self.note(f"{len(self._failures)} of {self._reported} failed:")
            for failure in self._failures:
                self.note(f"  {failure}")

    def _person(self, line: str) -> None:
        if not self._json:
            print(printable(line), flush=True)

    def _program(self, song: Path | None, status: str, **facts: Any) -> None:
        self._reported += 1
        if self._json:
            name = None if song is None else str(song)
            print(json.dumps({"song": name, "status": status, **facts}), flush=True)
