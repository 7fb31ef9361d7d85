"""Memory and disk use of a split, for songs of several lengths.

Splits songs of several lengths with our command, each in a process of its own, and prints the
peak resident memory of each (``ru_maxrss``), and the peak disk use of its stems. The first start,
which compiles the network for the later ones, is shown separately. An hour of htdemucs takes a
while:

    python bench/memory.py
    python bench/memory.py --model htdemucs_tiny --minutes 1 10
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

from material import environment, split_command, write_hub_files, write_song

_GLANCE = 0.5  # seconds between two measurements of the disk use


@dataclass(frozen=True, slots=True)
class Run:
    """Measurements of one split: seconds, and peak memory and disk use in bytes."""

    seconds: float
    memory: int
    disk: int


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="htdemucs", help="with random weights, but for the tiny")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--minutes", type=float, nargs="+", default=[3, 60])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= environment(folder)
        # In a process of its own: on Linux a child's count starts with what its parent has.
        process = get_context("spawn").Process(
            target=write_hub_files, args=(folder / "weights", options.model)
        )
        process.start()
        process.join()
        print("| song | peak memory, MB | of the first length | disk, MB | times real time |")
        print("| --- | --- | --- | --- | --- |")
        least = 0
        for start, minutes in enumerate([options.minutes[0], *options.minutes]):
            song = write_song(folder / "song.wav", minutes * 60)
            command = split_command(song, folder / "stems", options.model, options.precision)
            label = f"{minutes:g} min" + (", first start" if start == 0 else "")
            run = _watch(command, folder / "stems", label)
            shutil.rmtree(folder / "stems")
            if start == 1:
                least = run.memory
            ratio = f"{run.memory / least:.2f}" if least else ""
            print(
                f"| {label} | {run.memory / 1e6:,.0f} | {ratio} | {run.disk / 1e6:,.0f} "
                f"| {minutes * 60 / run.seconds:.2f} |",
                flush=True,
            )


def _watch(command: list[str], out: Path, name: str) -> Run:
    started, disk = time.monotonic(), 0
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(command, stdout=errors, stderr=errors)
        pid = 0
        while not pid:
            time.sleep(_GLANCE)
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            seconds = time.monotonic() - started
            disk = max(disk, _size(out))
            if sys.stderr.isatty():
                text = f"\r{name}: {seconds:.0f} s, {disk / 1e6:,.0f} MB of disk"
                print(text, end="", file=sys.stderr, flush=True)
        process.returncode = os.waitstatus_to_exitcode(status)
        if sys.stderr.isatty():
            print(file=sys.stderr)
        if process.returncode:
            errors.seek(0)
            sys.exit(f"{name} failed:\n{errors.read().decode()}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Run(seconds, usage.ru_maxrss * unit, disk)


def _size(folder: Path) -> int:
    size = 0
    for path in folder.rglob("*"):
        try:
            size += path.stat().st_size
        except FileNotFoundError:  # renamed since
            continue
    return size


if __name__ == "__main__":
    main()
