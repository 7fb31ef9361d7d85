"""CPU time and memory of two segments at once, one per core, against one segment on both cores.

Each measurement runs in a fresh process; one that compiles the network is not counted. CPU time,
unlike elapsed time, is also valid on a busy machine.

    python bench/streams.py
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from aistemsplitter_engine.runtimes import openvino
from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime
from aistemsplitter_engine.weights.checkpoint import Checkpoint
from material import environment
from random_weights import HTDEMUCS, random_weights

CORES = 2
SOURCES = (0, 1, 2, 3)


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--segments", type=int, default=4)
    parser.add_argument("--precision", choices=["float32", "bf16"], default="float32")
    parser.add_argument("--measure", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(*_measure(options.measure, options.segments, options.precision))
        return
    runs: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as name:
        os.environ |= environment(Path(name))
        command = [sys.executable, __file__, "--precision", options.precision]
        command += ["--segments", str(options.segments)]
        for number in range(1 + options.rounds):  # the first compiles
            for streams, results in runs.items():
                done = subprocess.run(
                    [*command, "--measure", str(streams)], stdout=subprocess.PIPE, check=True
                )
                if number:
                    seconds, memory = map(float, done.stdout.split())
                    results.append((seconds, memory))
    print("| segments at once | CPU seconds per segment | peak memory, MB |")
    print("| --- | --- | --- |")
    for streams, results in runs.items():
        times, memories = zip(*results, strict=True)
        print(f"| {streams} | {min(times):.2f} | {max(memories) / 1e6:,.0f} |")


def _measure(streams: int, segments: int, precision: str) -> tuple[float, float]:
    """Return the CPU seconds per segment, and the process' peak memory in bytes."""
    usual = openvino._options
    openvino._options = lambda chosen: {
        **usual(chosen), "NUM_STREAMS": streams, "INFERENCE_NUM_THREADS": CORES,
    }  # fmt: skip
    openvino.cpu_count = lambda: CORES + streams - 1  # with three, the runtime has two requests
    checkpoint = Checkpoint(HTDEMUCS, random_weights(HTDEMUCS), f"{streams} at once {'-' * 16}")
    runtime = OpenVinoRuntime(checkpoint, precision)
    shape = 2, runtime.network.segment_frames
    segment = np.random.default_rng(0).standard_normal(shape, np.float32)
    runtime([segment], SOURCES)  # loads the network

    def separate(count: int) -> None:
        for _ in range(count):
            runtime([segment], SOURCES)

    started = time.process_time()
    with ThreadPoolExecutor(streams) as pool:
        list(pool.map(separate, [segments // streams] * streams))
    seconds = (time.process_time() - started) / segments
    unit = 1 if sys.platform == "darwin" else 1024
    return seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


if __name__ == "__main__":
    main()
