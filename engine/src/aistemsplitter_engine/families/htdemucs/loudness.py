"""The first pass over a track: its length, and the mean and std that normalize it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from aistemsplitter_engine.arrays import Array, FloatArray

_EPSILON = 1e-8  # as in Demucs; the mono mixture is silent where the channels cancel out
_LOUDEST = 1e12  # the network squares and sums samples


@dataclass(frozen=True, slots=True)
class MeanAndDeviation:
    """Length in samples, and mean and unbiased standard deviation of the mono mixture."""

    frames: int
    mean: float
    std: float

    def normalize(self, audio: FloatArray, out: FloatArray) -> None:
        """Write audio with mean 0 and standard deviation 1 into ``out``; silence stays silence."""
        np.subtract(audio, np.float32(self.mean), out=out)
        out /= np.float32(self.std + _EPSILON)
        np.clip(out, -_LOUDEST, _LOUDEST, out=out)

    def restore(self, estimate: Array, out: Array, library: Any) -> None:
        """Undo :meth:`normalize` on an estimate, and write the result into ``out``."""
        library.multiply(estimate, self.std + _EPSILON, out=out)
        out += self.mean


class Meter:
    """Measures a track block by block. Computes in float64."""

    def __init__(self) -> None:
        self._count, self._mean = 0, 0.0
        self._squares = 0.0  # sum of squared distances from the mean

    def add(self, block: FloatArray) -> None:
        """Add samples (2, n)."""
        n = block.shape[1]
        if n == 0:
            return
        mono = np.add(block[0], block[1], dtype=np.float64)
        mono *= 0.5
        block_mean = float(mono.mean())
        mono -= block_mean
        distance = block_mean - self._mean
        total = self._count + n
        self._squares += float(np.square(mono, out=mono).sum())
        self._squares += distance**2 * self._count * n / total
        self._mean += distance * n / total
        self._count = total

    def loudness(self) -> MeanAndDeviation:
        """Return the mean and deviation of the samples so far."""
        std = math.sqrt(self._squares / (self._count - 1)) if self._count > 1 else 0.0
        return MeanAndDeviation(self._count, self._mean, std)
