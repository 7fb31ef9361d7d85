"""Songs per hour with the demonstration model, one after the other and several at once.

Splits the same songs of 3 to 5 minutes with our command, in a fresh process for each number of
jobs, round after round. Prints the best rate of the rounds, the least CPU time, which other load
affects less, and the peak resident memory of the processes (``ru_maxrss``), and compares the files,
which must be the same.

    python bench/songs.py
    python bench/songs.py --songs 4 --minutes 0.5 1 --jobs 1 2
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from material import environment, split_command, write_song


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds, CPU seconds and peak memory in bytes of splitting songs, and their stems' digest."""

    seconds: float
    cpu: float
    memory: int
    digest: str


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--songs", type=int, default=20)
    parser.add_argument("--minutes", type=float, nargs=2, default=[3, 5], help="least and most")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", default="htdemucs_tiny")
    parser.add_argument("--format", default="wav")
    options = parser.parse_args()
    runs: dict[int, list[Run]] = {jobs: [] for jobs in options.jobs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= environment(folder)
        songs = folder / "songs"
        songs.mkdir()
        lengths = np.linspace(*options.minutes, options.songs) * 60
        for number, seconds in enumerate(np.random.default_rng(0).permutation(lengths)):
            write_song(songs / f"{number:02}.wav", seconds)
        stems = folder / "stems"
        first = split_command(songs / "00.wav", stems, options.model, "auto")
        _run(first, stems)  # compiles the network, not counted
        command = split_command(songs, stems, options.model, "auto")
        command += ["--format", options.format]
        for number in range(options.rounds):
            for jobs in options.jobs:
                print(f"round {number + 1}: {jobs} at once", file=sys.stderr, flush=True)
                runs[jobs].append(_run([*command, "--jobs", str(jobs)], stems))
    if len({run.digest for several in runs.values() for run in several}) > 1:
        sys.exit("the stems differ")
    minutes = lengths.sum() / 60
    print(f"{options.songs} songs, {minutes:.0f} minutes in total, {options.model}\n")
    print("| songs at once | songs per hour | times real time | CPU, s | peak memory, MB |")
    print("| --- | --- | --- | --- | --- |")
    for jobs, several in runs.items():
        seconds = min(run.seconds for run in several)
        cpu, memory = min(run.cpu for run in several), max(run.memory for run in several)
        print(
            f"| {jobs} | {options.songs * 3600 / seconds:,.0f} | {minutes * 60 / seconds:.1f} "
            f"| {cpu:,.0f} | {memory / 1e6:,.0f} |"
        )


def _run(command: list[str], stems: Path) -> Run:
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    digest = hashlib.sha256()
    for path in sorted(stems.rglob("*.*")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    shutil.rmtree(stems)
    unit = 1 if sys.platform == "darwin" else 1024
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds, cpu, usage.ru_maxrss * unit, digest.hexdigest())


if __name__ == "__main__":
    main()
