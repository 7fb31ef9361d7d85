"""The first pass over a track: its length, and the mean and std that normalize it."""

from __future__ import annotations

import math
from collections.abc import Iterable
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


def measure(blocks: Iterable[FloatArray]) -> MeanAndDeviation:
    """Return the mean and deviation of a track, given as blocks (2, n). Computes in float64."""
    count, mean, squares = 0, 0.0, 0.0  # squares: sum of squared distances from the mean
    for block in blocks:
        n = block.shape[1]
        if n == 0:
            continue
        mono = np.add(block[0], block[1], dtype=np.float64)
        mono *= 0.5
        block_mean = float(mono.mean())
        mono -= block_mean
        distance = block_mean - mean
        total = count + n
        squares += float(np.square(mono, out=mono).sum()) + distance**2 * count * n / total
        mean += distance * n / total
        count = total
    return MeanAndDeviation(count, mean, math.sqrt(squares / (count - 1)) if count > 1 else 0.0)
