"""One stem as a WAV stream on standard output, written while it is computed."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from aistemsplitter_engine.errors import OptionError, OutputError

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import AudioFile
    from aistemsplitter_engine.pipeline.export import Export
    from aistemsplitter_engine.separator import Separator

STANDARD_OUTPUT = Path("-")
_FOR_FOLDERS = {
    "name": "--name",
    "resume": "--resume",
    "overwrite": "--overwrite",
    "as_json": "--json",
}


def check(
    context: click.Context, songs: Sequence[Path], stems: Sequence[str], export: Export
) -> None:
    """Check the options of a command that writes to standard output.

    Raises:
        OptionError: More than one stem or song, another format, or an option for folders.
    """
    given = [
        name
        for name in context.params
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if len(songs) != 1 or songs[0].is_dir() or len(stems) != 1:
        raise OptionError("--output - writes one stem of one song; choose the stem with --stems")
    if export.format.name != "wav":
        raise OptionError(f"--output - writes wav, not {export.format.name}")
    for name, option in _FOR_FOLDERS.items():
        if name in given:
            raise OptionError(f"{option} needs a folder; it does not go with --output -")
    if "clip" in given and export.rescales:
        raise OptionError(
            "--clip rescale needs the peak of the whole song, which --output - does not wait for;"
            " choose clamp, none, or --bit-depth float"
        )
    if export.measures_loudness:
        raise OptionError(
            "--normalize needs the loudness of the whole song, which --output - does not wait for"
        )
    if sys.stdout.isatty():
        raise OptionError("standard output is a terminal; redirect it, or choose a folder")


def write_stem(
    separator: Separator,
    song: AudioFile,
    stem: str,
    export: Export,
    on_progress: Callable[[float], None],
    stop: threading.Event,
) -> None:
    """Write a stem to standard output. Samples over full scale are clipped, unless it is float.

    Raises:
        AudioError: The song cannot be read.
        OutputError: Standard output cannot be written.
        Cancelled: ``stop`` was set.
    """
    from aistemsplitter_engine.audio.wav_stream import WavStream

    wav: WavStream | None = None
    blocks = separator.separate(
        song, stems=[stem], sample_rate=export.sample_rate, on_progress=on_progress, cancel=stop
    )
    with closing(blocks):
        for block in blocks:
            samples = block.stems[stem]
            if export.mono:
                samples = samples.mean(0, keepdims=True)
            with _explained():
                wav = wav or WavStream(
                    sys.stdout.buffer,
                    export.format,
                    block.sample_rate,
                    export.channels,
                    block.frames,
                )
                wav.write(samples)


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # What is still buffered cannot be written either; Python would try it again at its exit.
        with suppress(OSError):
            descriptor = sys.stdout.fileno()
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        reason = error.strerror or error
        raise OutputError(f"standard output: cannot be written: {reason}") from error
