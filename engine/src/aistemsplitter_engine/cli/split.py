"""``aistemsplitter-local split``."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click

from aistemsplitter_engine.cli import standard_output
from aistemsplitter_engine.cli.device import device_option
from aistemsplitter_engine.errors import Cancelled, EngineError
from aistemsplitter_engine.options import (
    DEFAULT_MODEL,
    Clip,
    Device,
    FormatName,
    Normalize,
    Precision,
)

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
    help="Folder for the stems, which are written to DIR/<song>/; - writes one stem of one song to "
    "standard output, as WAV.",
)
@click.option(
    "--model",
    metavar="NAME|PATH",
    default=DEFAULT_MODEL,
    help="Model name, or path of a checkpoint.",
)
@click.option(
    "--config",
    metavar="YAML",
    type=_PATH,
    help="YAML file of the checkpoint, which a RoFormer needs.",
)
@click.option(
    "--stems",
    metavar="STEM,...",
    help="Stems to write: the model's own, no_STEM (the mixture minus it, such as no_drums), "
    "instrumental (the mixture minus the vocals) or residual (the mixture minus all stems).",
)
@click.option("--format", type=_one_of(FormatName), default="wav", help="Format of the stems.")
@click.option(
    "--bit-depth",
    metavar="BITS",
    callback=_bit_depth,
    help="16 (default), 24, or 32 or float for floating point (wav only).",
)
@click.option(
    "--bitrate",
    metavar="KBPS",
    type=int,
    help="Bit rate in kbit/s: mp3 32 to 320, m4a 32 to 320, opus 8 to 510; "
    "by default 320, 256 and 192, and half of that with --mono.",
)
@click.option(
    "--name",
    metavar="TEMPLATE",
    default="{stem}",
    help="Name of each file without extension, with {stem} and {song}.",
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
@click.option(
    "--normalize",
    type=_one_of(Normalize),
    default="none",
    help="Multiply all stems by the one gain that brings the song to -14 LUFS.",
)
@device_option
@click.option(
    "--precision", type=_one_of(Precision), default="auto", help="Precision to compute in."
)
@click.option(
    "--shifts",
    type=click.IntRange(min=0),
    default=0,
    help="Average this many time-shifted passes: slower, better. HTDemucs only.",
)
@click.option("--seed", type=int, help="Seed of the shifts; the same seed gives the same stems.")
@click.option(
    "--overlap",
    type=float,
    help="Overlap of adjacent segments, 0 to 0.99; by default 0.25, or what a RoFormer's config "
    "recommends.",
)
@click.option(
    "--batch-size",
    metavar="N",
    type=click.IntRange(min=1),
    help="Segments computed at once; by default 1 on the CPU, 8 on Metal, and up to 16 on CUDA, as "
    "the GPU's free memory permits.",
)
@click.option(
    "--jobs",
    metavar="N",
    type=click.IntRange(min=1),
    default=1,
    help="Songs in progress at once: while one is separated, others are decoded and encoded.",
)
@click.option(
    "--download/--no-download",
    default=None,
    help="Download the model's weights if they are missing, or fail; by default they are "
    "downloaded if standard error is a terminal, which shows their licence.",
)
@click.option("--resume", is_flag=True, help="Continue a run that was stopped or failed.")
@click.option("--overwrite", is_flag=True, help="Split songs again even if their stems exist.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each song.")
@click.option("--progress", is_flag=True, help="With --json, print lines with the progress too.")
@click.pass_context
def split(
    context: click.Context,
    songs: tuple[Path, ...],
    output: Path,
    model: str,
    config: Path | None,
    stems: str | None,
    format: FormatName,
    bit_depth: int | None,
    bitrate: int | None,
    name: str,
    sample_rate: int | None,
    mono: bool,
    clip: Clip,
    normalize: Normalize,
    device: Device,
    precision: Precision,
    shifts: int,
    seed: int | None,
    overlap: float | None,
    batch_size: int | None,
    jobs: int,
    download: bool | None,
    resume: bool,
    overwrite: bool,
    as_json: bool,
    progress: bool,
) -> None:
    """Split songs into stems: DIR/<song>/<stem>.<format>.

    Folders are searched for songs, except hidden files and links to folders, and keep their
    structure. The song - is read from standard input. Songs whose stems all exist are skipped;
    a hidden file in DIR/<song>/ records what they were made from. If a song fails, the others are
    still split, and the exit code is 1. A song that was stopped, or failed for a temporary reason,
    keeps its work in DIR/<song>/, for --resume.
    """
    from aistemsplitter_engine.cli.report import Report

    if progress and not as_json:
        raise click.UsageError("--progress goes with --json.")
    report = Report(as_json, progress)
    try:
        from aistemsplitter_engine.cli.file_names import NameTemplate
        from aistemsplitter_engine.cli.first_use import opened
        from aistemsplitter_engine.cli.records import digest_of, options_of
        from aistemsplitter_engine.cli.run import split_all, stream, stream_one, unfinished
        from aistemsplitter_engine.cli.songs import Job
        from aistemsplitter_engine.formats import OutputFormat
        from aistemsplitter_engine.pipeline.export import Export
        from aistemsplitter_engine.separator import Separator

        # Validated before anything is downloaded.
        template = NameTemplate(name)
        export = Export(
            output,
            OutputFormat(format, bit_depth, bitrate),
            clip,
            mono,
            sample_rate,
            normalize=normalize,
        )
        open_separator = partial(
            Separator,
            model,
            config=config,
            device=device,
            precision=precision,
            shifts=shifts,
            seed=seed,
            overlap=overlap,
            batch_size=batch_size,
        )
        names = None if stems is None else _names(stems)
        separator = opened(open_separator, model, names, download)
        wanted = separator.choose(names)
        template.check(wanted)
        if separator.model == "htdemucs_tiny":
            report.note(DEMONSTRATION)
        with _stoppable() as stop:
            if output == standard_output.STANDARD_OUTPUT:
                standard_output.check(context, songs, wanted, export)
                run_one = partial(stream, separator, songs[0], wanted[0], export, report, stop)
                stream_one(run_one, Job(songs[0], output, output), report)
            else:
                made = options_of(
                    separator.model,
                    digest_of(model),
                    config,
                    precision,
                    shifts,
                    seed,
                    separator.overlap,
                    export,
                )
                places = unfinished(songs, wanted, export, template, made, overwrite, report)
                split_all(separator, places, wanted, made, resume, jobs, report, stop)
    except (Cancelled, KeyboardInterrupt):
        report.stopped(resumable=output != standard_output.STANDARD_OUTPUT)
        raise SystemExit(130) from None
    except EngineError as error:
        report.failed(str(error))
    report.close()
    raise SystemExit(int(report.failed_any))  # click would return instead; see main


def _names(stems: str) -> list[str]:
    return [name.strip() for name in stems.split(",") if name.strip()]


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
