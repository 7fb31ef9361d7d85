"""CPU time of one segment on one core, compared with Demucs; also valid on busy machines.

Other programs distort the wall-clock times of `speed.py`, and not equally for all candidates; they
affect CPU time far less. One segment of 7.8 s goes through the network and its Fourier transforms,
from samples to stems, with the same random weights for all. The candidates run in turn, and the
minimum over the rounds counts. Starting, reading and writing files are not included.

    python bench/segment.py
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from demucs.htdemucs import HTDemucs

from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime, choose_precision
from aistemsplitter_engine.weights.checkpoint import Checkpoint
from material import environment
from random_weights import HTDEMUCS, random_weights


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        os.environ |= environment(Path(name))
        candidates = _candidates()
        least = dict.fromkeys(candidates, float("inf"))
        for number in range(1 + options.rounds):  # the first is slow
            for candidate, call in candidates.items():
                started = time.process_time()
                call()
                if number:
                    least[candidate] = min(least[candidate], time.process_time() - started)
    print("| htdemucs | processor seconds a segment | times as fast as demucs |")
    print("| --- | --- | --- |")
    for candidate, seconds in least.items():
        print(f"| {candidate} | {seconds:.2f} | {least['demucs 4.1.0'] / seconds:.2f} |")


def _candidates() -> dict[str, Callable[[], object]]:
    weights = random_weights(HTDEMUCS)
    demucs = HTDemucs(**HTDEMUCS).eval()
    demucs.load_state_dict({name: torch.from_numpy(weight) for name, weight in weights.items()})
    rng = np.random.default_rng(0)
    segments = [rng.standard_normal((2, int(HTDEMUCS["segment"] * 44100)), np.float32)]

    def theirs() -> object:
        with torch.inference_mode():
            return demucs(torch.from_numpy(segments[0][None]))

    candidates: dict[str, Callable[[], object]] = {"demucs 4.1.0": theirs}
    for precision in ("float32", "bf16"):
        if precision == "float32" or choose_precision("auto") == precision:
            runtime = OpenVinoRuntime(Checkpoint(HTDEMUCS, weights, "random"), precision)
            candidates[precision] = lambda runtime=runtime: runtime(segments, (0, 1, 2, 3))
    return candidates


if __name__ == "__main__":
    main()
