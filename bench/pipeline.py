"""CPU time of the pipeline around a network that costs nothing, compared with another checkout.

A network that costs nothing shows what the rest of the engine takes, and so how fast a GPU could
be before the pipeline limits it. CPU time, unlike elapsed time, is also valid on a busy machine.
Whole runs, from the song's file to its stems' files, count the CPU time of all threads.
Each measurement runs in a fresh process, the checkouts in turn; the least of the rounds counts.
The second song of a process counts, as in a worker that runs for long: the first one's memory is
new, and on a virtual machine whose host has not backed it yet, it can take longer than all else
(``--first`` counts the first song).

    python bench/pipeline.py
    git worktree add /tmp/before 1b2e74d && python bench/pipeline.py --checkout /tmp/before
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

RATE = 44_100
HERE = Path(__file__).parents[1]
SEGMENT = Fraction(39, 5)  # seconds, of the official htdemucs
SOURCES = ("drums", "bass", "other", "vocals")
BLOCK = 65_536  # frames, as files are read
FILES = (
    *("WAV to WAV", "FLAC to WAV", "MP3 to WAV"),
    *("WAV to FLAC", "WAV to MP3", "WAV to Opus", "WAV to M4A"),
)
FOLDER = "BENCH_FOLDER"  # environment variable: the folder with the songs
FIRST = "BENCH_FIRST"  # environment variable: set if the first song counts


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--checkout", type=Path, help="another checkout, to compare with")
    parser.add_argument("--seconds", type=float, default=240, help="length of the song")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--first", action="store_true", help="count the process's first song")
    parser.add_argument("--only", choices=STAGES, help="one of the tables")
    parser.add_argument("--variants", nargs="+", help="only these rows, such as 'WAV to WAV'")
    parser.add_argument("--measure", choices=STAGES, help=argparse.SUPPRESS)
    parser.add_argument("--variant", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.first:
        os.environ[FIRST] = "1"
    if options.measure:
        measure, _, _ = STAGES[options.measure]
        print(json.dumps(measure(options.variant, options.seconds)))
        return
    checkouts = {"here": HERE}
    if options.checkout:
        checkouts = {"before": options.checkout, **checkouts}
    with tempfile.TemporaryDirectory() as folder:
        os.environ[FOLDER] = folder
        _write_songs(Path(folder), options.seconds)
        for stage, (_, title, variants) in STAGES.items():
            if options.only not in (None, stage):
                continue
            print(f"## {title}")
            _print_table(
                {
                    variant: _compare(stage, variant, checkouts, options.seconds, options.rounds)
                    for variant in options.variants or variants
                    if variant in variants
                },
                list(checkouts),
            )


def _write_songs(folder: Path, seconds: float) -> None:
    """Write the song in each format that is measured as a source."""
    from aistemsplitter_engine.audio import AudioFile, StemWriter
    from aistemsplitter_engine.formats import OutputFormat
    from material import write_song

    song = write_song(folder / "song.wav", seconds)
    for output in (OutputFormat("flac"), OutputFormat("mp3")):
        with StemWriter(folder / f"song.{output.extension}", output, RATE, 2) as writer:
            for block in AudioFile(song).blocks():
                writer.write(block)


def _compare(
    stage: str, variant: str, checkouts: Mapping[str, Path], seconds: float, rounds: int
) -> dict[str, float]:
    """Return the times real time of every checkout, the best of the rounds."""
    least = dict.fromkeys(checkouts, float("inf"))
    for number in range(rounds):
        for name, checkout in checkouts.items():
            print(f"{stage} {variant}: {name}, round {number + 1}", file=sys.stderr, flush=True)
            command = [sys.executable, __file__, "--measure", stage, "--variant", variant]
            done = subprocess.run(
                [*command, "--seconds", str(seconds)],
                env={**os.environ, "PYTHONPATH": str(checkout / "engine" / "src")},
                stdout=subprocess.PIPE,
                check=True,
            )
            least[name] = min(least[name], json.loads(done.stdout))
    return {name: seconds / taken for name, taken in least.items()}


def _print_table(speeds: Mapping[str, Mapping[str, float]], checkouts: list[str]) -> None:
    ratio = len(checkouts) > 1
    print(f"\n| | {' | '.join(checkouts)} |{' times as fast |' if ratio else ''}")
    print(f"| --- {'| --- ' * (len(checkouts) + ratio)}|")
    for variant, speed in speeds.items():
        print(f"| {variant} | {' | '.join(f'{speed[name]:,.0f}' for name in checkouts)} |", end="")
        print(f" {speed['here'] / speed['before']:.1f} |" if ratio else "")
    print(flush=True)


# Measurements, which run in a process of their own, with the sources of either checkout.


def separation(variant: str, seconds: float) -> float:
    """Return the main thread's CPU seconds from blocks of a song to blocks of its stems."""
    batch_size = int(variant.removeprefix("batch "))
    modules = _modules()
    frames = round(seconds * RATE)
    song = np.random.default_rng(0).standard_normal((2, frames), np.float32)
    blocks = [song[:, start : start + BLOCK] for start in range(0, frames, BLOCK)]
    part = modules.Part(_free_runtime(batch_size), tuple(range(len(SOURCES))))
    loudness = modules.loudness(frames, 0.01, 0.3)

    def separate() -> None:
        done = 0
        for estimates in modules.separate(
            iter(blocks), loudness, [part], [[0]], overlap=0.25, batch_size=batch_size
        ):
            done += estimates.sources.shape[2]
        assert done == frames

    return _counted(separate, time.thread_time)


def _counted(song: Callable[[], None], clock: Callable[[], float]) -> float:
    """Return the CPU seconds that a song takes, after another one unless the first counts."""
    if FIRST not in os.environ:
        song()
    started = clock()
    song()
    return clock() - started


def files(variant: str, seconds: float) -> float:
    """Return the CPU seconds of all threads from a song's file to four stems' files."""
    source, output = variant.lower().split(" to ")
    package = "aistemsplitter_engine"
    model: Any  # a module, whose function is replaced
    try:
        model = importlib.import_module(f"{package}.pipeline.model")
    except ImportError:  # version 1b2e74d
        model = importlib.import_module(f"{package}.model")
    runtime = _free_runtime(8, level=0.2)
    model.open_runtime = lambda *_: lambda *_: runtime
    separator = importlib.import_module(f"{package}.separator").Separator("htdemucs_tiny")
    folder = Path(os.environ[FOLDER])
    numbers = itertools.count()

    def split() -> None:
        stems = folder / f"stems {os.getpid()} {next(numbers)}"  # new: overwriting takes time
        result = separator.split(folder / f"song.{source}", stems, format=output)
        assert result.gain == 1
        assert result.duration == seconds

    taken = _counted(split, time.process_time)
    for stems in folder.glob("stems *"):
        shutil.rmtree(stems)
    return taken


def _modules() -> SimpleNamespace:
    """Return what this file needs of the engine, which lay elsewhere in version 1b2e74d."""
    package = "aistemsplitter_engine"
    try:
        separate = importlib.import_module(f"{package}.pipeline.separate")
    except ImportError:
        separate = importlib.import_module(f"{package}.separation.stream")
        loudness = importlib.import_module(f"{package}.separation.loudness").Loudness
    else:
        module = importlib.import_module(f"{package}.families.htdemucs.loudness")
        loudness = module.MeanAndDeviation
    return SimpleNamespace(separate=separate.separate, Part=separate.Part, loudness=loudness)


def _free_runtime(batch_size: int, level: float = 1.0) -> Any:
    """Return a runtime with the official htdemucs' segments, whose estimates are always the same.

    They are in memory of their own, like those of a real network.
    """
    arguments = {"sources": list(SOURCES), "segment": SEGMENT}
    shape = batch_size, len(SOURCES), 2, round(SEGMENT * RATE)
    estimates = np.random.default_rng(0).standard_normal(shape, np.float32) * np.float32(level)

    class Free:
        concurrency = 1
        precision = "float32"

        def __init__(self) -> None:
            self.batch_size = batch_size
            try:
                family = importlib.import_module("aistemsplitter_engine.families.htdemucs.family")
            except ImportError:  # version 1b2e74d
                config = importlib.import_module("aistemsplitter_engine.network.config")
                self.config = config.Configuration.from_arguments(arguments)
            else:
                self.arrays = importlib.import_module("aistemsplitter_engine.arrays").NUMPY
                configuration = family.Configuration.from_arguments(arguments)
                self.network = family.HTDemucs(configuration)

        def __call__(self, segments: Any, sources: tuple[int, ...]) -> Any:
            assert sources == tuple(range(len(SOURCES)))  # others would have to be copied
            return estimates[: len(segments)]

    return Free()


Measure = Callable[[str, float], float]
STAGES: dict[str, tuple[Measure, str, tuple[str, ...]]] = {
    "separation": (
        separation,
        "Main thread: windows, overlap-add and levels of one song, as a multiple of real time",
        ("batch 1", "batch 8", "batch 32"),
    ),
    "files": (
        files,
        "Whole runs: all threads, from the song's file to four stems' files, at batch 8",
        FILES,
    ),
}


if __name__ == "__main__":
    main()
