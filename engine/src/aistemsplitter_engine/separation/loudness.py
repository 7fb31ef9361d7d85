"""The first pass over a track: how long it is, and the mean and deviation that Demucs takes off."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
_EPSILON = 1e-8  # Demucs'; all that is left where both channels cancel out
_LOUDEST = 1e12  # the network squares and sums samples


@dataclass(frozen=True, slots=True)
class Loudness:
    """Length in samples, and mean and unbiased deviation of the mono mixture."""

    frames: int
    mean: float
    deviation: float

    def normalize(self, audio: FloatArray) -> FloatArray:
        """Take mean and deviation off the mixture; silence stays silence."""
        result = (audio - np.float32(self.mean)) / np.float32(self.deviation + _EPSILON)
        return np.clip(result, -_LOUDEST, _LOUDEST, out=result)

    def restore(self, estimate: FloatArray) -> FloatArray:
        """Give deviation and mean back to an estimate, in place."""
        estimate *= np.float32(self.deviation + _EPSILON)
        estimate += np.float32(self.mean)
        return estimate


def measure(blocks: Iterable[FloatArray]) -> Loudness:
    """Measure a track from its stereo blocks (2, n), in double precision and constant memory."""
    count, mean, squares = 0, 0.0, 0.0  # squares: sum of squared distances from the mean
    for block in blocks:
        n = block.shape[1]
        if n == 0:
            continue
        mono = block.mean(0, dtype=np.float64)
        block_mean = float(mono.mean())
        distance = block_mean - mean
        total = count + n
        squares += float(np.square(mono - block_mean).sum()) + distance**2 * count * n / total
        mean += distance * n / total
        count = total
    return Loudness(count, mean, math.sqrt(squares / (count - 1)) if count > 1 else 0.0)
