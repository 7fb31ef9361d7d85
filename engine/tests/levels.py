"""The loudness of a whole track."""

from __future__ import annotations

from collections.abc import Iterable

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.htdemucs.loudness import MeanAndDeviation, Meter


def measure(blocks: Iterable[FloatArray]) -> MeanAndDeviation:
    """Return a track's mean and standard deviation, given as blocks (2, n)."""
    meter = Meter()
    for block in blocks:
        meter.add(block)
    return meter.loudness()
