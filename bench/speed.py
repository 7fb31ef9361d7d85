"""Time from a song's file to its stems' files on the CPU, compared with Demucs.

Every run is a command in a fresh process, as a user starts it, and writes four 16-bit WAV files.
Demucs and we have the same random weights and the same work: no shifts, overlap 0.25. The
candidates run in turn, round after round, and a ratio is the median over the rounds, so that
other load on the machine affects all alike. Our first start, which compiles the network and caches
it, is shown separately.

    python bench/speed.py
    python bench/speed.py --rounds 1 --seconds 20 --skip vocals
    python bench/speed.py --checkout ../before           # against the engine of another checkout
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from aistemsplitter_engine.runtimes.openvino import choose_precision
from material import environment, split_command, write_hub_files, write_song, write_th

Command = Callable[[Path], list[str]]  # of the folder that it writes to
_LONGEST = 3600  # time limit of a run in seconds


def main() -> None:
    """Measure and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60, help="length of the song")
    parser.add_argument("--skip", choices=["demucs", "vocals"], help="leave one table out")
    parser.add_argument("--checkout", type=Path, help="compare with its engine only")
    options = parser.parse_args()
    print(f"{_machine()}; a song of {options.seconds:g} s, {options.rounds} rounds\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= environment(folder)
        song = write_song(folder / "song.wav", options.seconds)
        if options.checkout:
            for title, commands in _against(options.checkout.resolve(), folder, song).items():
                print(f"## Against another checkout: htdemucs in {title}")
                _compare(commands, folder, options.rounds, options.seconds)
            return
        if options.skip != "demucs":
            print("## Against demucs 4.1.0: htdemucs")
            _compare(_against_demucs(folder, song), folder, options.rounds, options.seconds)
        if options.skip != "vocals":
            print("## Only the requested stems are computed: htdemucs_ft")
            _compare(_vocals(folder, song), folder, options.rounds, options.seconds)


def _against(checkout: Path, folder: Path, song: Path) -> dict[str, dict[str, Command]]:
    """Return the commands of both engines by precision."""
    path = write_th(folder)
    other = ["env", f"PYTHONPATH={checkout / 'engine' / 'src'}"]

    def commands(precision: str) -> dict[str, Command]:
        return {
            "other": lambda out: [*other, *split_command(song, out, path, precision)],
            "this": lambda out: split_command(song, out, path, precision),
        }

    precisions = ["float32", "bf16"] if choose_precision("auto") == "bf16" else ["float32"]
    return {precision: commands(precision) for precision in precisions}


def _against_demucs(folder: Path, song: Path) -> dict[str, Command]:
    path = write_th(folder)
    demucs = [sys.executable, "-m", "demucs.separate", "--repo", str(folder), "-n", "random"]
    demucs += ["--shifts", "0", "-d", "cpu", str(song), "-o"]
    commands: dict[str, Command] = {"demucs": lambda out: [*demucs, str(out)]}
    commands["float32"] = lambda out: split_command(song, out, path, "float32")
    if choose_precision("auto") == "bf16":
        commands["bf16"] = lambda out: split_command(song, out, path, "bf16")
    return commands


def _vocals(folder: Path, song: Path) -> dict[str, Command]:
    write_hub_files(folder / "weights", "htdemucs_ft")
    return {
        "all stems": lambda out: split_command(song, out, "htdemucs_ft", "auto"),
        "vocals": lambda out: split_command(song, out, "htdemucs_ft", "auto", ["vocals"]),
    }


def _compare(commands: dict[str, Command], folder: Path, rounds: int, seconds: float) -> None:
    """Run every command once for its first start, then all in turn; the first is the baseline."""
    first = {name: _run(name, "first start", commands[name], folder) for name in commands}
    taken: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            taken[name].append(_run(name, f"round {number + 1} of {rounds}", command, folder))
    measure = next(iter(commands))
    print(f"\n| | first start, s | later, s | times real time | times as fast as {measure} |")
    print("| --- | --- | --- | --- | --- |")
    for name, times in taken.items():
        ratio = median(a / b for a, b in zip(taken[measure], times, strict=True))
        typical = median(times)
        print(f"| {name} | {first[name]:.1f} | {typical:.1f} ", end="")
        print(f"| {seconds / typical:.2f} | {ratio:.2f} |")
    print(flush=True)


def _run(name: str, when: str, command: Command, folder: Path) -> float:
    """Return the run time of a command in seconds."""
    out = folder / "stems"
    print(f"{when}: {name} ...", end=" ", file=sys.stderr, flush=True)
    started = time.perf_counter()
    done = subprocess.run(command(out), capture_output=True, text=True, timeout=_LONGEST)
    seconds = time.perf_counter() - started
    print(f"{seconds:.1f} s", file=sys.stderr)
    if done.returncode or not any(out.rglob("vocals.wav")):
        sys.exit(f"{name} made no stems:\n{done.stderr}")
    shutil.rmtree(out)
    return seconds


def _machine() -> str:
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        lines = info.read_text().splitlines()
        processor = next((x.partition(":")[2] for x in lines if "model name" in x), processor)
    return f"{processor.strip()}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()
