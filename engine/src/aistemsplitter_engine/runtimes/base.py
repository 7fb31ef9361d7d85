"""The interface of runtimes."""

from __future__ import annotations

from typing import Protocol

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.base import Network
from aistemsplitter_engine.options import Precision


class Runtime(Protocol):
    """A loaded network. It is fastest when called from ``concurrency`` threads at once."""

    network: Network
    concurrency: int
    batch_size: int  # the fastest one
    precision: Precision

    def __call__(self, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
        """Separate segments (batch, channels, samples) into (batch, sources, channels, samples)."""
