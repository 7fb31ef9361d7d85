"""The track procedure of Music-Source-Separation-Training (MSST), in memory, for comparison."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aistemsplitter_engine.arrays import FloatArray


def demix(
    separate: Callable[[FloatArray], FloatArray], mixture: FloatArray, chunk: int, num_overlap: int
) -> FloatArray:
    """Separate (2, n) into (sources, 2, n) as MSST's ``demix`` does with a batch size of 1.

    ``separate`` returns the sources (sources, 2, chunk) of a chunk.
    """
    step, fade = chunk // num_overlap, chunk // 10
    border, length = chunk - step, mixture.shape[1]
    is_padded = length > 2 * border > 0
    if is_padded:
        mixture = np.pad(mixture, ((0, 0), (border, border)), "reflect")
    window = np.ones(chunk)
    window[:fade], window[chunk - fade :] = np.linspace(0, 1, fade), np.linspace(1, 0, fade)
    total, weights = np.zeros(()), np.zeros(mixture.shape[1])
    for start in range(0, mixture.shape[1], step):
        part = mixture[:, start : start + chunk]
        size = part.shape[1]
        fill = ((0, 0), (0, chunk - size))
        part = np.pad(part, fill, "reflect") if size > chunk // 2 else np.pad(part, fill)
        weight = window.copy()
        if start == 0:
            weight[:fade] = 1
        elif start + step >= mixture.shape[1]:
            weight[chunk - fade :] = 1
        estimate = separate(part)
        if total.ndim == 0:
            total = np.zeros((*estimate.shape[:2], mixture.shape[1]))
        total[:, :, start : start + size] += (estimate * weight)[:, :, :size]
        weights[start : start + size] += weight[:size]
    result = (total / weights).astype(np.float32)
    return result[:, :, border:-border] if is_padded else result
