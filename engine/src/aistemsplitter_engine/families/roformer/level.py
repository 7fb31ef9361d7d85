"""A track's length. Its level stays as it is: the network's output scales with its input."""

from __future__ import annotations

from collections.abc import Iterable
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


def measure(blocks: Iterable[FloatArray]) -> Unchanged:
    """Return the length of a track, given as blocks (2, n)."""
    return Unchanged(sum(block.shape[1] for block in blocks))
