"""``aistemsplitter-local split``."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from aistemsplitter_engine.errors import Cancelled, EngineError, ModelError
from aistemsplitter_engine.options import Clip, Device, FormatName, Precision

if TYPE_CHECKING:
    from collections.abc import Callable

    from aistemsplitter_engine.cli.report import Report
    from aistemsplitter_engine.cli.songs import Job
    from aistemsplitter_engine.pipeline.write import SplitResult

DEMONSTRATION = (
    "htdemucs_tiny is a small model trained on synthetic music, for demonstration; "
    "for real songs: aistemsplitter-local models install htdemucs_ft"
)


# Not checked by click, which would stop at the first path that cannot be read.
_PATH = click.Path(path_type=Path, readable=False)


def _one_of(names: Any) -> click.Choice[str]:
    return click.Choice(get_args(names))


def _bit_depth(_context: click.Context, _option: click.Parameter, value: str | None) -> int | None:
    if value is None:
        return None
    if value == "float":
        return 32
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is neither a number of bits nor 'float'.")
    return int(value)


@click.command()
@click.argument("songs", metavar="SONG...", nargs=-1, required=True, type=_PATH)
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=_PATH,
    help="Folder for the stems, which are written to DIR/<song>/.",
)
@click.option(
    "--model",
    metavar="NAME|PATH",
    default="htdemucs_ft",
    help="Model name, or path of your own checkpoint.",
)
@click.option(
    "--stems",
    metavar="STEM,...",
    help="Stems to write: the model's own, instrumental (the mixture minus the vocals) or "
    "residual (the mixture minus all stems).",
)
@click.option("--format", type=_one_of(FormatName), default="wav", help="Format of the stems.")
@click.option(
    "--bit-depth",
    metavar="BITS",
    callback=_bit_depth,
    help="16 (default), 24, or 32 or float for floating point (wav only).",
)
@click.option(
    "--sample-rate",
    metavar="HZ",
    type=int,
    help="Sample rate of the stems; that of the song by default.",
)
@click.option("--mono", is_flag=True, help="Mix the stems down to one channel.")
@click.option(
    "--clip",
    type=_one_of(Clip),
    default="rescale",
    help="Stems that exceed full scale: attenuate all alike, clip the peaks, or neither.",
)
@click.option("--device", type=_one_of(Device), default="auto", help="Device to compute on.")
@click.option(
    "--precision", type=_one_of(Precision), default="auto", help="Precision to compute in."
)
@click.option(
    "--shifts",
    type=click.IntRange(min=0),
    default=0,
    help="Average this many time-shifted passes: slower, better.",
)
@click.option("--seed", type=int, help="Seed of the shifts; the same seed gives the same stems.")
@click.option(
    "--overlap", type=float, default=0.25, help="Overlap of adjacent segments, 0 to 0.99."
)
@click.option("--resume", is_flag=True, help="Continue a run that was stopped or failed.")
@click.option("--overwrite", is_flag=True, help="Split songs again whose stems exist.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each song.")
def split(
    songs: tuple[Path, ...],
    output: Path,
    model: str,
    stems: str | None,
    format: FormatName,
    bit_depth: int | None,
    sample_rate: int | None,
    mono: bool,
    clip: Clip,
    device: Device,
    precision: Precision,
    shifts: int,
    seed: int | None,
    overlap: float,
    resume: bool,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Split songs into stems: DIR/<song>/<stem>.<format>.

    Folders are searched for songs, except hidden files and links to folders, and keep their
    structure. Songs whose stems all exist are skipped. If a song fails, the others are still split,
    and the exit code is 1. A song that was stopped, or failed for a temporary reason, keeps its
    work in DIR/<song>/, for --resume.
    """
    from aistemsplitter_engine.cli.report import Report

    report = Report(as_json)
    try:
        with _stoppable() as stop:
            from aistemsplitter_engine.cli.songs import find_jobs
            from aistemsplitter_engine.formats import OutputFormat
            from aistemsplitter_engine.pipeline.export import Export
            from aistemsplitter_engine.separator import Separator

            separator = Separator(
                model,
                device=device,
                precision=precision,
                shifts=shifts,
                seed=seed,
                overlap=overlap,
            )
            wanted = separator.choose(None if stems is None else _names(stems))
            # Validates the options before the first song.
            export = Export(output, OutputFormat(format, bit_depth), clip, mono, sample_rate)
            if separator.model == "htdemucs_tiny":
                report.note(DEMONSTRATION)
            jobs, problems = find_jobs(songs, output)
            for problem in problems:
                report.failed(f"{problem.path}: {problem.reason}", problem.path)
            for job in jobs:
                paths = {stem: job.folder / export.name(stem) for stem in wanted}
                if not overwrite and _are_files(paths.values()):
                    report.skipped(job, paths)
                    continue
                run = partial(
                    separator.split,
                    job.song,
                    job.folder,
                    stems=wanted,
                    format=format,
                    bit_depth=bit_depth,
                    clip=clip,
                    mono=mono,
                    sample_rate=sample_rate,
                    resume=resume,
                    cancel=stop,
                )
                _split_one(run, job, separator.model, report)
    except (Cancelled, KeyboardInterrupt):
        report.stopped()
        raise SystemExit(130) from None
    except EngineError as error:
        report.failed(str(error))
    report.close()
    raise SystemExit(int(report.failed_any))  # click would return instead; see main


def _names(stems: str) -> list[str]:
    return [name.strip() for name in stems.split(",") if name.strip()]


def _are_files(paths: Iterable[Path]) -> bool:
    try:
        return all(path.is_file() for path in paths)
    except OSError:  # writing there will report why
        return False


def _split_one(run: Callable[..., SplitResult], job: Job, model: str, report: Report) -> None:
    """Split a song and report errors, except those of the model, which concern all songs."""
    try:
        with report.progress(job) as on_progress:
            result = run(on_progress=on_progress)
    except (Cancelled, ModelError):
        raise
    except EngineError as error:
        report.failed(f"{error}{_way_out(job)}", job.song)
    except Exception as error:  # a bug, or out of memory on this machine or its GPU
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = " ".join(f"{type(error).__name__}: {error}".split())
        where = f"{Path(place.filename).name}:{place.lineno}"
        report.failed(f"{job.song}: failed unexpectedly: {what} ({where}){_way_out(job)}", job.song)
    else:
        report.done(job, model, result)


def _way_out(job: Job) -> str:
    """Return how to resume, for the end of an error message, if the run has kept its work."""
    from aistemsplitter_engine.pipeline.write import WORK

    kept = job.folder / WORK
    try:
        found = kept.is_dir()
    except OSError:  # such as a name that is too long: nothing was written there
        return ""
    return f"; its work is kept in {kept}; continue with --resume" if found else ""


@contextmanager
def _stoppable() -> Iterator[threading.Event]:
    """Handle Ctrl-C and SIGTERM: the first one sets the event that is yielded, the next one raises.

    The event ends the run between two segments.
    """
    stop = threading.Event()

    def handle(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
