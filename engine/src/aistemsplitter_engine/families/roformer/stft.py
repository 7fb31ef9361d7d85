"""The short-time Fourier transform, as PyTorch computes it: centred, with reflected edges.

It has an orthonormal scale here, which a transform and its inverse cancel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from aistemsplitter_engine.arrays import FloatArray


@lru_cache(maxsize=4)
def window(nfft: int) -> FloatArray:
    """Return the periodic Hann window."""
    values = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(nfft) / nfft)
    result: FloatArray = values.astype(np.float32)
    return result


@lru_cache(maxsize=4)
def gain(nfft: int, hop: int, frames: int, samples: int) -> FloatArray:
    """Return the factors of the samples that undo both windows of the overlap-added frames."""
    squares = np.zeros(length(nfft, hop, frames), np.float32)
    overlap_add(squares, np.broadcast_to(np.square(window(nfft)), (frames, nfft)), hop)
    result: FloatArray = np.float32(1) / squares[nfft // 2 : nfft // 2 + samples]
    return result


def length(nfft: int, hop: int, frames: int) -> int:
    """Return how many samples :func:`overlap_add` needs, also if it adds frames run by run."""
    return (frames + 2 * (-(-nfft // hop) - 1)) * hop


def overlap_add(signal: Any, frames: Any, hop: int) -> None:
    """Add frames (..., frames, nfft) into a signal (..., samples), arrays of NumPy or PyTorch."""
    count, nfft = frames.shape[-2:]
    apart = -(-nfft // hop)  # frames that are this far from each other do not overlap
    for first in range(min(apart, count)):
        chosen = frames[..., first::apart, :]
        rows = chosen.shape[-2]
        start, step = first * hop, apart * hop
        places = signal[..., start : start + rows * step].reshape(*signal.shape[:-1], rows, step)
        places[..., :nfft] += chosen  # a view of the signal
