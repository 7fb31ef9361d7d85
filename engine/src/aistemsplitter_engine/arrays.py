"""Types of arrays, and the interface through which those of NumPy and PyTorch are used alike."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
"""Audio is (channels, frames), with full scale at -1 and 1."""

Array = Any
"""A float32 array of NumPy, or a tensor on a PyTorch device; see :class:`Arrays`."""


class Arrays(Protocol):
    """The arrays of one device. Code for all devices slices them and calculates in place.

    Attributes:
        library: ``numpy`` or ``torch``, for functions that both have with the same arguments, such
            as ``multiply(a, b, out=c)``.
        piece: Number of samples to process at once, so that they stay in the processor's cache.
    """

    library: Any
    piece: int

    def empty(self, *shape: int) -> Array:
        """Return an array with arbitrary values."""

    def write(self, array: Array, fill: Callable[[FloatArray], object]) -> None:
        """Overwrite an array with the samples that ``fill`` writes into one of NumPy's.

        They may still be on their way when this method returns.
        """

    def download(self, array: Array) -> Callable[[], FloatArray]:
        """Start to copy an array to main memory; return a function that waits for the copy."""

    def stream(self) -> AbstractContextManager[object]:
        """Return a context for work that is to run while networks compute."""


class NumpyArrays:
    """Arrays in main memory."""

    library: Any = np
    piece = 16_384

    def empty(self, *shape: int) -> FloatArray:
        """Return an array with arbitrary values."""
        return np.empty(shape, np.float32)

    def write(self, array: FloatArray, fill: Callable[[FloatArray], object]) -> None:
        """Let ``fill`` overwrite the array."""
        fill(array)

    def download(self, array: FloatArray) -> Callable[[], FloatArray]:
        """Return a function that returns the array itself."""
        return lambda: array

    def stream(self) -> AbstractContextManager[object]:
        """Return a context that does nothing."""
        return nullcontext()


NUMPY = NumpyArrays()
