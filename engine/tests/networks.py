"""Networks that cost little: one that only computes, and small real ones in files."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import save_file

import reference
from aistemsplitter_engine.network.config import Configuration
from aistemsplitter_engine.weights.catalogue import MODELS
from aistemsplitter_engine.weights.checkpoint import Checkpoint

FloatArray = reference.FloatArray
SMALL = {**reference.SMALL, "t_layers": 1, "segment": Fraction(1)}


class FakeRuntime:
    """Estimates by arithmetic, which depend on where in a window and beside what a sample stands.

    So they come out wrong if a window is cut, filled or trimmed by one sample more or less.
    """

    precision = "float32"

    def __init__(self, config: Configuration, *, concurrency: int = 2, batch_size: int = 1) -> None:
        self.config, self.concurrency, self.batch_size = config, concurrency, batch_size
        self.calls = 0  # segments that were separated
        self.gain = 1.0
        self._ramp = np.linspace(-0.5, 0.5, config.segment_frames, dtype=np.float32)

    def __call__(self, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
        self.calls += len(segments)
        return np.stack([self._estimate(segments, source) for source in sources], axis=1)

    def _estimate(self, segments: FloatArray, source: int) -> FloatArray:
        before, after = (np.roll(segments, n * (source + 1), axis=-1) for n in (17, -23))
        beside = (before - after) / 2
        return np.float32(0.1 * self.gain * (source + 1)) * segments + self._ramp * beside


class BrokenRuntime(FakeRuntime):
    """Fails after three calls."""

    def __call__(self, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
        if self.calls > 3:
            raise RuntimeError("no memory left")
        return super().__call__(segments, sources)


def threads() -> set[str]:
    """Names of the engine's threads; a loaded network may keep some of its own."""
    ours = ("separate", "read", "encode")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(ours)}


def use_fake(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Configuration], Any] = FakeRuntime,
) -> list[Any]:
    """Let every model that is opened be a fake of its configuration; returns those opened."""
    opened: list[Any] = []

    def load(checkpoint: Checkpoint) -> Any:
        fake = make(Configuration.from_arguments(checkpoint.arguments))
        fake.gain = 1 + int(checkpoint.digest[:4], 16) / 16**4  # to tell one file from another
        opened.append(fake)
        return fake

    monkeypatch.setattr("aistemsplitter_engine.model.open_runtime", lambda *_: load)
    return opened


def write_safetensors(model: reference.HTDemucs, path: Path) -> Path:
    """Write a model of ``reference.network(**SMALL)`` in the hub's layout."""
    arguments = {**SMALL, "sources": model.sources}
    segment = Fraction(arguments["segment"])
    arguments["segment"] = {
        "_type": "fraction",
        "numerator": segment.numerator,
        "denominator": segment.denominator,
    }
    metadata = {
        "klass": "demucs.htdemucs.HTDemucs",
        "args": "[]",
        "kwargs": json.dumps(arguments),
    }
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path, metadata)
    return path


@dataclass(frozen=True)
class Bag:
    """Four networks that can be told apart, in files that together are htdemucs_ft."""

    models: list[reference.HTDemucs]
    paths: list[Path]


def write_bag(folder: Path) -> Bag:
    """Write a bag, to be found with ``AISTEMSPLITTER_WEIGHTS_PATH`` at the folder."""
    models = [reference.network(seed, **SMALL) for seed in range(4)]
    paths = [folder / f"{file.signature}.safetensors" for file in MODELS["htdemucs_ft"].files]
    for model, path in zip(models, paths, strict=True):
        write_safetensors(model, path)
    return Bag(models, paths)
