"""Synthetic music and fake networks, without PyTorch or files."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pytest

from aistemsplitter_engine.arrays import NUMPY, FloatArray
from aistemsplitter_engine.families import open_network
from aistemsplitter_engine.families.base import Network
from aistemsplitter_engine.weights.checkpoint import Checkpoint


def music(seconds: float, seed: int = 0) -> FloatArray:
    """Return noise and tones (2, n) at 44.1 kHz with about the spectrum and the peaks of music."""
    return _music(seconds, seed).copy()


@functools.lru_cache(maxsize=8)  # many tests use the same song
def _music(seconds: float, seed: int) -> FloatArray:
    rng = np.random.default_rng(seed)
    time = np.arange(int(seconds * 44100)) / 44100
    beat = np.exp(-6 * (time * 2 % 1))
    tones = sum(np.sin(2 * np.pi * f * time + f) for f in (110, 220.5, 331, 883))
    noise = rng.standard_normal((2, time.size)) * beat
    audio = 0.08 * np.stack([tones, np.roll(tones, 50)]) + 0.05 * noise
    return audio.astype(np.float32)


class FakeRuntime:
    """A runtime whose estimates depend on a sample's position in its window and on its neighbours.

    The estimates are therefore wrong if a window is cut, padded or trimmed off by one sample.
    """

    arrays = NUMPY
    precision = "float32"

    def __init__(self, network: Network, *, concurrency: int = 2, batch_size: int = 1) -> None:
        self.network, self.concurrency, self.batch_size = network, concurrency, batch_size
        self.calls = 0  # segments that were separated
        self._lock = threading.Lock()
        self.gain = 1.0
        self._ramp = np.linspace(-0.25, 0.25, network.segment_frames, dtype=np.float32)

    def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
        with self._lock:
            self.calls += len(segments)
        batch = np.stack([*segments])
        return np.stack([self._estimate(batch, source) for source in sources], axis=1)

    def _estimate(self, segments: FloatArray, source: int) -> FloatArray:
        estimate = np.roll(segments, 17 * (source + 1), axis=-1)
        estimate -= np.roll(segments, -23 * (source + 1), axis=-1)
        estimate *= self._ramp
        estimate += np.float32(0.1 * self.gain * (source + 1)) * segments
        return estimate


class BrokenRuntime(FakeRuntime):
    """A fake that fails after three segments."""

    def __call__(self, segments: Sequence[FloatArray], sources: tuple[int, ...]) -> FloatArray:
        if self.calls > 3:
            raise RuntimeError("no memory left")
        return super().__call__(segments, sources)


def threads() -> set[str]:
    """Return the names of the engine's threads, without those that a loaded network keeps."""
    ours = ("separate", "read", "encode")
    return {thread.name for thread in threading.enumerate() if thread.name.startswith(ours)}


def use_fake(
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[Network], Any] = FakeRuntime,
) -> list[Any]:
    """Replace each network by a fake of its configuration; return those that were opened."""
    opened: list[Any] = []

    def load(checkpoint: Checkpoint, sources: Collection[str] | None) -> Any:
        fake = make(open_network(checkpoint, sources))
        fake.gain = 1 + int(checkpoint.digest[:4], 16) / 16**4  # different for each file
        opened.append(fake)
        return fake

    monkeypatch.setattr("aistemsplitter_engine.pipeline.model.open_runtime", lambda *_: load)
    return opened
