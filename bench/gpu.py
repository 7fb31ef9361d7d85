"""Speed of the PyTorch runtime on a GPU, and the gain of each optimisation.

Needs the repository, NumPy, PyTorch and a card. Where the network of Demucs can be imported too
(`pip install --no-deps demucs einops julius tqdm`), it is measured too. Weights are random.

    python bench/gpu.py
    python bench/gpu.py --precisions bf16 --batches 8 16 --steps song graph compile
    python bench/gpu.py --device cpu --quick      # only shows that the script runs

Steps, each with a batch of segments that are already in GPU memory; a segment advances a song by
three quarters of its length, 5.85 s:

    eager    as in the runtime
    tuned    with cuDNN trying out its algorithms
    graph    tuned, and captured as a CUDA graph
    compile  tuned, compiled and captured; at the best batch of the steps before
    song     what a user gets: ten minutes from samples in memory to stems in memory, eager, with
             transfers and overlap-add

Error is the signal-to-noise ratio against the eager float32 result.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "engine" / "src"))

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.loudness import MeanAndDeviation
from aistemsplitter_engine.pipeline.separate import Part, separate
from aistemsplitter_engine.runtimes.torch import TorchRuntime
from aistemsplitter_engine.weights.checkpoint import Checkpoint
from random_weights import HTDEMUCS, random_weights

try:
    from demucs.apply import apply_model
    from demucs.htdemucs import HTDemucs
except ImportError:
    HTDemucs = None

Network = Callable[[Tensor], Tensor]
Call = Callable[[], Any]
OVERLAP = 0.25
PRECISIONS = {"float32": "float32", "tf32": "float32", "bf16": "bf16", "float16": "float16"}
STEPS = ("eager", "tuned", "graph", "compile", "song")
SMALL = {**HTDEMUCS, "channels": 8, "bottom_channels": 32, "t_layers": 1, "segment": Fraction(1)}


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--device", default="cuda", choices=["cuda", "cpu"])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8, 16, 32, 64])
    parser.add_argument("--precisions", nargs="+", default=list(PRECISIONS), choices=PRECISIONS)
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS)
    parser.add_argument("--minutes", type=float, default=10, help="of the song")
    parser.add_argument("--quick", action="store_true", help="a small network, small batches")
    options = parser.parse_args()
    if options.quick:
        options.batches, options.minutes = [1, 2], 0.1
    bench = Bench(SMALL if options.quick else HTDEMUCS, options.device, options.minutes)
    name = torch.cuda.get_device_name() if options.device == "cuda" else "the processor"
    print(f"{name}, PyTorch {torch.__version__}\n")
    print("| precision | batch | step | ms a batch | times real time | error, dB | memory, GB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    if HTDemucs:
        bench.demucs(options.batches, options.steps)
    for precision in options.precisions:
        bench.ours(precision, options.batches, options.steps)


class Bench:
    """One network on one device, in our implementation and in Demucs."""

    def __init__(self, arguments: dict[str, Any], device: str, minutes: float) -> None:
        self._device, self._cuda = device, device == "cuda"
        self._arguments, self._weights = arguments, random_weights(arguments)
        self._config = Configuration.from_arguments(arguments)
        rng = np.random.default_rng(0)
        self._song = rng.standard_normal((2, round(minutes * 60 * 44100)), np.float32)
        segment = np.ascontiguousarray(self._song[None, :, : self._config.segment_frames])
        self._segment = torch.from_numpy(segment).to(device)
        _allow_tf32(convolutions=False, products=False)
        with torch.inference_mode():
            self._truth = self._runtime("float32").separate(self._segment)

    def ours(self, precision: str, batches: list[int], steps: list[str]) -> None:
        """Measure the PyTorch runtime in one precision."""
        _allow_tf32(convolutions=precision == "tf32", products=precision == "tf32")
        runtime = self._runtime(precision)
        speeds: dict[int, float] = {}
        for batch in batches:
            for step in steps:
                if step == "song":
                    self._line(precision, batch, step, partial(self._split, runtime, batch))
                elif step != "compile":
                    speed = self._batch(precision, batch, step, runtime.separate)
                    speeds[batch] = max(speeds.get(batch, 0), speed)
        if "compile" in steps:
            best = max(speeds, key=lambda batch: speeds[batch], default=batches[-1])
            self._batch(precision, best, "compile", runtime.separate)

    def demucs(self, batches: list[int], steps: list[str]) -> None:
        """Measure Demucs with PyTorch's defaults, one segment at a time for a song."""
        _allow_tf32(convolutions=True, products=False)
        state = {name: torch.from_numpy(weight) for name, weight in self._weights.items()}
        model = HTDemucs(**self._arguments).eval().to(self._device)
        model.load_state_dict(state)
        if "eager" in steps:
            for batch in batches:
                self._batch("demucs", batch, "eager", model)
        if "song" in steps:
            song = torch.from_numpy(self._song)[None]
            with torch.inference_mode():
                call = partial(apply_model, model, song, shifts=0, device=self._device)
                self._line("demucs", 1, "song", lambda: call)

    def _runtime(self, precision: str) -> TorchRuntime:
        checkpoint = Checkpoint(self._arguments, self._weights, "random")
        return TorchRuntime(checkpoint, self._device, PRECISIONS[precision])

    def _split(self, runtime: TorchRuntime, batch: int) -> Call:
        """Return a function that separates the song and discards the stems."""
        frames, sources = self._song.shape[1], tuple(range(len(self._config.sources)))
        part, loudness = Part(runtime, sources), MeanAndDeviation(frames, 0.0, 1.0)

        def call() -> None:
            blocks = np.array_split(self._song, -(-frames // 65536), axis=1)
            stems = separate(blocks, loudness, [part], [[0]], overlap=OVERLAP, batch_size=batch)
            deque(stems, maxlen=0)

        return call

    def _batch(self, name: str, batch: int, step: str, network: Network) -> float:
        """Measure a batch in GPU memory; return its speed as a multiple of real time."""
        if step in ("tuned", "graph") and not self._cuda:
            return 0.0
        segments = self._segment.repeat(batch, 1, 1)

        def ready() -> Call:
            made = network
            if step == "compile":
                torch.compiler.reset()
                made = torch.compile(network, dynamic=False)
            if step in ("graph", "compile") and self._cuda:
                made = _captured(made, segments)
            return lambda: made(segments)

        torch.backends.cudnn.benchmark = step != "eager"
        with torch.inference_mode():
            speed = self._line(name, batch, step, ready)
        torch.backends.cudnn.benchmark = False
        return speed

    def _line(self, name: str, batch: int, step: str, ready: Callable[[], Call]) -> float:
        """Measure the function that ``ready`` returns; print and return the real-time factor."""
        print(f"| {name} | {batch} | {step} ", end="", flush=True)
        if self._cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            call = ready()
            result = call()  # the first is slow
            seconds = median(self._times(call))
        except torch.cuda.OutOfMemoryError:
            print("| out of memory | | | |", flush=True)
            return 0.0
        error = "" if step == "song" else _snr(self._truth, result[:1])
        stride = self._config.segment_frames * (1 - OVERLAP)
        frames = self._song.shape[1] if step == "song" else batch * stride
        speed = frames / self._config.samplerate / seconds
        memory = f"{torch.cuda.max_memory_allocated() / 1e9:.1f}" if self._cuda else ""
        each = seconds * batch * stride / frames
        print(f"| {each * 1000:,.1f} | {speed:,.0f} | {error} | {memory} |", flush=True)
        return speed

    def _times(self, call: Call) -> list[float]:
        times: list[float] = []
        while len(times) < 3 or sum(times) < 1:
            started = time.perf_counter()
            call()
            if self._cuda:
                torch.cuda.synchronize()
            times.append(time.perf_counter() - started)
        return times


def _captured(network: Network, segments: Tensor) -> Network:
    """Capture a call on these segments as a CUDA graph."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):  # compilation, algorithm selection and FFT planning must not be captured
            network(segments)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        result = network(segments)

    def replay(_: Tensor) -> Tensor:
        graph.replay()
        return result

    return replay


def _allow_tf32(*, convolutions: bool, products: bool) -> None:
    torch.backends.cudnn.allow_tf32 = convolutions
    torch.set_float32_matmul_precision("high" if products else "highest")


def _snr(truth: Tensor, estimate: Tensor) -> str:
    error = (truth - estimate).double().square().sum().item()
    signal = truth.double().square().sum().item()
    return f"{10 * math.log10(signal / error):.0f}" if error else "none"


if __name__ == "__main__":
    main()
