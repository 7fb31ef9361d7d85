"""Time and memory of a Mel-Band RoFormer on the CPU, from file to files, against `pymss-core`.

The network has the size of `kim_vocals` and random weights. Every run is a command in a fresh
process that writes the vocals and the instrumental as 16-bit WAV. The reference runs `pymss-core`
on PyTorch with the track procedure of MSST (`demix` at batch 1); both have an overlap of 0.5, and
ours also 0.25. The candidates run in turn, and a ratio is the median over the rounds. The first
start, which compiles the network and caches it, is shown separately, and so is the peak memory;
the run with an overlap of 0.25 uses the network that was cached before.

    python bench/roformer.py
    python bench/roformer.py --rounds 1 --seconds 20 --minutes 1 3      # memory of two lengths
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import yaml

from aistemsplitter_engine.runtimes.openvino import choose_precision
from aistemsplitter_engine.weights.catalogue import MODELS
from material import environment, split_command, write_song

Command = Callable[[Path], list[str]]  # of the folder that it writes to
_TESTS = Path(__file__).parents[1] / "engine" / "tests"
_REFERENCE = """
import sys
from pathlib import Path
import torch
from aistemsplitter_engine.audio import AudioFile, StemWriter
from aistemsplitter_engine.formats import OutputFormat
import numpy as np
from aistemsplitter_engine.checks.msst import demix
from roformers import KIM, network

song, checkpoint, out = map(Path, sys.argv[1:4])
model = network(KIM)
model.load_state_dict(torch.load(checkpoint))
mixture = np.concatenate(list(AudioFile(song).blocks()), axis=1)


def separate(chunk):
    samples = torch.from_numpy(np.ascontiguousarray(chunk, np.float32))
    return model(samples[None])[0].float().numpy()[None]


with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=sys.argv[4] == "bf16"):
    (vocals,) = demix(separate, mixture, 352_800, 2)
out.mkdir(parents=True)
for name, stem in (("vocals", vocals), ("instrumental", mixture - vocals)):
    with StemWriter(out / f"{name}.wav", OutputFormat("wav"), 44_100, 2) as writer:
        writer.write(np.ascontiguousarray(stem, np.float32))
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Seconds and peak memory in GB of a run."""

    seconds: float
    memory: float


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=60, help="length of the song")
    parser.add_argument("--minutes", type=float, nargs="*", default=[], help="of memory's songs")
    parser.add_argument("--skip-reference", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= environment(folder)
        os.environ["PYTHONPATH"] = os.pathsep.join([str(_TESTS), *sys.path[1:]])
        checkpoint, config = _write_model(folder)
        song = write_song(folder / "song.wav", options.seconds)
        commands = _ours(song, checkpoint, config)
        if not options.skip_reference:
            commands = {**_theirs(song, checkpoint), **commands}
        _compare(commands, folder, options.rounds, options.seconds)
        for minutes in options.minutes:
            song = write_song(folder / "song.wav", minutes * 60)
            run = _run(_ours(song, checkpoint, config)["auto"], folder)
            print(f"{minutes:g} minutes: {run.seconds:.0f} s, peak memory {run.memory:.2f} GB")


def _write_model(folder: Path) -> tuple[Path, Path]:
    """Write a checkpoint and its config, in a process of its own because of its memory."""
    checkpoint, config = folder / "kim.ckpt", folder / "kim.yaml"
    program = (
        "import sys; from pathlib import Path; from roformers import KIM, network, save; "
        "save(network(KIM), Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", program, str(checkpoint)], check=True)
    config.write_text(yaml.safe_dump(dict(MODELS["kim_vocals"].config or {})))
    return checkpoint, config


def _precisions() -> list[str]:
    return ["float32", "bf16"] if choose_precision("auto") == "bf16" else ["float32"]


def _theirs(song: Path, checkpoint: Path) -> dict[str, Command]:
    def command(precision: str) -> Command:
        program = [sys.executable, "-c", _REFERENCE, str(song), str(checkpoint)]
        return lambda out: [*program, str(out), precision]

    return {f"pymss-core, {precision}": command(precision) for precision in _precisions()}


def _ours(song: Path, checkpoint: Path, config: Path) -> dict[str, Command]:
    def command(precision: str, *more: str) -> Command:
        options = ["--config", str(config), *more]
        return lambda out: [*split_command(song, out, checkpoint, precision), *options]

    commands = {f"ours, {precision}": command(precision) for precision in _precisions()}
    fast = command("auto", "--overlap", "0.25")
    return {**commands, "ours, overlap 0.25": fast, "auto": command("auto")}


def _compare(commands: dict[str, Command], folder: Path, rounds: int, seconds: float) -> None:
    names = [name for name in commands if name != "auto"]
    first = {name: _run(commands[name], folder) for name in names}
    later: dict[str, list[Run]] = {name: [] for name in names}
    for _ in range(rounds):
        for name in names:
            later[name].append(_run(commands[name], folder))
    print("| | first start, s | later, s | times real time | memory first, later, GB | ratio |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, runs in later.items():
        typical = median(run.seconds for run in runs)
        memory = max(run.memory for run in runs)
        precision = "float32" if name.endswith("float32") else _precisions()[-1]
        peer = f"pymss-core, {precision}"
        pairs = zip(later.get(peer, []), runs, strict=False)
        ratio = median([a.seconds / b.seconds for a, b in pairs] or [float("nan")])
        print(f"| {name} | {first[name].seconds:.1f} | {typical:.1f} ", end="")
        print(f"| {seconds / typical:.2f} | {first[name].memory:.2f}, {memory:.2f} | {ratio:.2f} |")
    print(flush=True)


def _run(command: Command, folder: Path) -> Run:
    out = folder / "stems"
    started = time.perf_counter()
    process = subprocess.Popen(command(out), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status or not any(out.rglob("vocals.wav")):
        sys.exit("a run made no stems")
    shutil.rmtree(out)
    scale = 1 if sys.platform == "darwin" else 1024
    print(f"{seconds:.1f} s", file=sys.stderr)
    return Run(seconds, usage.ru_maxrss * scale / 1e9)


if __name__ == "__main__":
    main()
