"""A track's length. Its level stays as it is: the network's output scales with its input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aistemsplitter_engine.arrays import Array, FloatArray

_LOUDEST = 1e12  # the network squares and sums samples


@dataclass(frozen=True, slots=True)
class Unchanged:
    """Length in samples; :meth:`normalize` only limits samples to what can be computed with."""

    frames: int

    def normalize(self, audio: FloatArray, out: FloatArray) -> None:
        """Write the audio into ``out``."""
        np.clip(audio, -_LOUDEST, _LOUDEST, out=out)

    def restore(self, estimate: Array, out: Array, library: Any) -> None:
        """Copy an estimate into ``out``."""
        if out is not estimate:
            out[:] = estimate


class Meter:
    """Measures a track's length block by block."""

    def __init__(self) -> None:
        self._frames = 0

    def add(self, block: FloatArray) -> None:
        """Add samples (2, n)."""
        self._frames += block.shape[1]

    def loudness(self) -> Unchanged:
        """Return the length of the samples so far."""
        return Unchanged(self._frames)
