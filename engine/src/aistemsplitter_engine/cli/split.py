"""``aistemsplitter-local split``."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from aistemsplitter_engine.errors import EngineError
from aistemsplitter_engine.options import Clip, Device, FormatName, Precision

if TYPE_CHECKING:
    from aistemsplitter_engine.cli.report import Report
    from aistemsplitter_engine.cli.songs import Job
    from aistemsplitter_engine.separator import Separator

DEMONSTRATION = (
    "htdemucs_tiny is a small model trained on synthetic music, for demonstration; "
    "for real songs: aistemsplitter-local models install htdemucs_ft"
)


def split(
    songs: Annotated[list[Path], typer.Argument(metavar="SONG...", help="Files and folders.")],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="Stems land in DIR/<song>/.")
    ],
    model: Annotated[
        str, typer.Option(metavar="NAME|PATH", help="A model, or a checkpoint of your own.")
    ] = "htdemucs_ft",
    stems: Annotated[
        str | None,
        typer.Option(
            metavar="STEM,...",
            help="Only these: the model's own, instrumental (the mixture less the vocals), "
            "residual (the mixture less all stems).",
        ),
    ] = None,
    format: Annotated[FormatName, typer.Option(help="Of the stems.")] = "wav",
    bit_depth: Annotated[
        int | None, typer.Option(help="16 (default), 24, or 32 for float (wav only).")
    ] = None,
    sample_rate: Annotated[
        int | None, typer.Option(metavar="HZ", help="Of the stems; the song's own by default.")
    ] = None,
    mono: Annotated[bool, typer.Option("--mono", help="Fold the stems to one channel.")] = False,
    clip: Annotated[
        Clip,
        typer.Option(help="Stems over full scale: turn all down alike, cut the peaks, or neither."),
    ] = "rescale",
    device: Annotated[Device, typer.Option(help="What to compute on.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="What to compute in.")] = "auto",
    shifts: Annotated[
        int, typer.Option(min=0, help="Average so many passes shifted in time: slower, better.")
    ] = 0,
    seed: Annotated[
        int | None, typer.Option(help="For the shifts; the same seed gives the same stems.")
    ] = None,
    overlap: Annotated[float, typer.Option(help="Of neighbouring segments, 0 to 0.99.")] = 0.25,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where a run that was stopped left off.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Split songs again whose stems are there.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON for each song.")
    ] = False,
) -> None:
    """Split songs into stems: DIR/<song>/<stem>.<format>.

    Folders are searched for songs and keep their structure. Songs whose stems are all there are
    skipped. A song that fails does not stop the others; the exit code is then 1.
    """
    from aistemsplitter_engine.cli.report import Report
    from aistemsplitter_engine.cli.songs import find_jobs

    # A service manager's stop is a Ctrl-C: the run ends between two segments and can be resumed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    report = Report(as_json)
    try:
        from aistemsplitter_engine.separator import Separator

        jobs, problems = find_jobs(songs, output)
        separator = Separator(
            model,
            device=device,
            precision=precision,
            shifts=shifts,
            seed=seed,
            overlap=overlap,
        )
        wanted = _wanted(separator, stems)
        options: dict[str, Any] = {
            "stems": wanted,
            "format": format,
            "bit_depth": bit_depth,
            "clip": clip,
            "mono": mono,
            "sample_rate": sample_rate,
            "resume": resume,
        }
        _check(options)
        if separator.model == "htdemucs_tiny":
            report.note(DEMONSTRATION)
        for problem in problems:
            report.failed(problem)
        for job in jobs:
            _split_one(separator, job, options, overwrite, report)
    except EngineError as error:
        report.failed(str(error))
    except KeyboardInterrupt:
        report.note("stopped; the same command with --resume goes on from here")
        raise typer.Exit(130) from None
    report.close()
    if report.failures:
        raise typer.Exit(1)


def _wanted(separator: Separator, stems: str | None) -> tuple[str, ...]:
    names = None if stems is None else [name.strip() for name in stems.split(",") if name.strip()]
    return separator.choose(names)


def _check(options: dict[str, Any]) -> None:
    """Refuse options that cannot be right for any song before the first one is opened."""
    from aistemsplitter_engine.audio import OutputFormat

    OutputFormat(options["format"], options["bit_depth"])


def _split_one(
    separator: Separator, job: Job, options: dict[str, Any], overwrite: bool, report: Report
) -> None:
    paths = {stem: job.folder / f"{stem}.{options['format']}" for stem in options["stems"]}
    if not overwrite and all(path.is_file() for path in paths.values()):
        report.skipped(job, paths)
        return
    try:
        with report.progress(job) as on_progress:
            result = separator.split(job.song, job.folder, on_progress=on_progress, **options)
    except EngineError as error:
        report.failed(str(error), job)
    else:
        report.done(job, separator.model, result)
