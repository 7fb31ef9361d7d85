"""The interface of runtimes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from aistemsplitter_engine.arrays import Array, Arrays
from aistemsplitter_engine.families.base import Network
from aistemsplitter_engine.options import Precision


class Runtime(Protocol):
    """A loaded network. It is fastest when called from ``concurrency`` threads at once.

    Attributes:
        batch_size: The fastest one.
    """

    network: Network
    concurrency: int
    batch_size: int
    precision: Precision

    @property
    def arrays(self) -> Arrays:
        """The arrays that it takes and returns."""

    def __call__(self, segments: Sequence[Array], sources: tuple[int, ...]) -> Array:
        """Separate segments (channels, samples) into (batch, sources, channels, samples).

        The segments may share memory, and are not changed.
        """
