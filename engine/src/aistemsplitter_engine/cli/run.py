"""Splitting the songs of a command, one or several at a time."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from aistemsplitter_engine.cli import records, standard_output
from aistemsplitter_engine.cli.file_names import NameTemplate
from aistemsplitter_engine.cli.folder_names import OutputFileSystem
from aistemsplitter_engine.cli.report import Report
from aistemsplitter_engine.cli.songs import Job, find_jobs
from aistemsplitter_engine.cli.standard_input import STANDARD_INPUT, standard_input
from aistemsplitter_engine.errors import Cancelled, EngineError, ModelError, OutputError
from aistemsplitter_engine.pipeline.export import Export
from aistemsplitter_engine.pipeline.songs import SplitSong, split_songs
from aistemsplitter_engine.separator import Separator

if TYPE_CHECKING:
    from aistemsplitter_engine.pipeline.write import SplitResult


def unfinished(
    songs: Sequence[Path],
    wanted: Sequence[str],
    export: Export,
    template: NameTemplate,
    options: records.Options,
    overwrite: bool,
    report: Report,
) -> Iterator[tuple[Job, Export]]:
    """Yield the songs to split and where their stems go; report problems and finished songs."""
    jobs, problems = find_jobs(songs, export.folder)
    for problem in problems:
        report.failed(f"{problem.path}: {problem.reason}", problem.path)
    file_system = OutputFileSystem(export.folder)
    for planned in jobs:
        try:
            job = replace(planned, folder=records.choose_folder(planned))
            names = template.names(job.folder.name, wanted, export.format.extension, file_system)
            placed = replace(export, folder=job.folder, names=names)
            files = [placed.name(stem) for stem in wanted]
            # Standard input may be another song than before.
            is_finished = (
                job.song != STANDARD_INPUT
                and not overwrite
                and records.are_finished(job.folder, job.song, files, options)
            )
        except OutputError as error:
            report.failed(str(error), planned.song)
            continue
        if is_finished:
            report.skipped(job, {stem: job.folder / placed.name(stem) for stem in wanted})
        else:
            yield job, placed


def split_song(
    separator: Separator,
    path: Path,
    wanted: Sequence[str],
    export: Export,
    options: records.Options,
    resume: bool,
    *,
    on_progress: Callable[[float], None],
    cancel: threading.Event,
) -> SplitResult:
    """Split a song, which may be standard input, and record what its stems were made from."""
    files = [export.name(stem) for stem in wanted]
    records.forget_replaced(export.folder, path, files, options)
    reading = standard_input(cancel) if path == STANDARD_INPUT else nullcontext(path)
    with reading as song:
        result = separator.split(
            song,
            export.folder,
            stems=wanted,
            format=export.format.name,
            bit_depth=export.format.bit_depth,
            bitrate=export.format.bitrate,
            clip=export.clip,
            mono=export.mono,
            sample_rate=export.sample_rate,
            names=export.names,
            normalize=export.normalize,
            resume=resume,
            on_progress=on_progress,
            cancel=cancel,
        )
    records.add(export.folder, path, files, options)
    return result


def split_all(
    separator: Separator,
    songs: Iterable[tuple[Job, Export]],
    wanted: Sequence[str],
    options: records.Options,
    resume: bool,
    at_once: int,
    report: Report,
    stop: threading.Event,
) -> None:
    """Split songs, several at once, and report each."""
    jobs: list[Job] = []

    def runs() -> Iterator[SplitSong]:
        for job, placed in songs:
            jobs.append(job)
            yield partial(split_song, separator, job.song, wanted, placed, options, resume)

    with report.progress() as bars:
        outcomes = split_songs(
            runs(), at_once, lambda number, done: bars.show(jobs[number], done), stop
        )
        with closing(outcomes):
            for outcome in outcomes:
                job = jobs[outcome.number]
                with bars.without(job):
                    if outcome.error is not None:
                        _report_error(outcome.error, job, report)
                    elif outcome.result is not None:
                        report.done(job, separator.model, outcome.result)


def stream(
    separator: Separator,
    path: Path,
    stem: str,
    export: Export,
    report: Report,
    stop: threading.Event,
    *,
    on_progress: Callable[[float], None],
) -> None:
    """Write a song's stem to standard output, and report its warnings."""
    from aistemsplitter_engine.audio import AudioFile

    reading = standard_input(stop) if path == STANDARD_INPUT else nullcontext(AudioFile(path))
    with reading as song:
        standard_output.write_stem(separator, song, stem, export, on_progress, stop)
    for warning in song.warnings:
        report.note(f"{path}: {warning}")


def stream_one(run: Callable[..., None], job: Job, report: Report) -> None:
    """Write a song's stem to standard output by ``run``, and report errors."""
    try:
        with report.progress() as bars:
            run(on_progress=partial(bars.show, job))
    except Exception as error:
        _report_error(error, job, report)


def _report_error(error: Exception, job: Job, report: Report) -> None:
    """Report why a song failed; raise errors of the model, which concern all songs."""
    if isinstance(error, Cancelled | ModelError):
        raise error
    if isinstance(error, EngineError):
        report.failed(f"{error}{_way_out(job)}", job.song)
    else:  # a bug, or out of memory on this machine or its GPU
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = " ".join(f"{type(error).__name__}: {error}".split())
        where = f"{Path(place.filename).name}:{place.lineno}"
        report.failed(f"{job.song}: failed unexpectedly: {what} ({where}){_way_out(job)}", job.song)


def _way_out(job: Job) -> str:
    """Return how to resume, for the end of an error message, if the run has kept its work."""
    from aistemsplitter_engine.pipeline.write import WORK

    kept = job.folder / WORK
    try:
        found = kept.is_dir()
    except OSError:  # such as a name that is too long: nothing was written there
        return ""
    return f"; its work is kept in {kept}; continue with --resume" if found else ""
