"""Signal-to-distortion ratio."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SILENCE = 1e-10  # energy that keeps the ratio finite where a stem is silent or an estimate perfect


def sdr(reference: NDArray[np.floating[Any]], estimate: NDArray[np.floating[Any]]) -> float:
    """Return an estimate's signal-to-distortion ratio in dB.

    Computed over all samples without alignment or scaling, as in the Music Demixing
    Challenge: 0 dB is what silence scores. Both arrays have the same shape.
    """
    if reference.shape != estimate.shape:
        raise ValueError(f"{estimate.shape} is not the reference's shape {reference.shape}")
    signal = np.square(reference, dtype=np.float64).sum()
    error = np.square(np.subtract(reference, estimate, dtype=np.float64)).sum()
    return 10 * math.log10((signal + _SILENCE) / (error + _SILENCE))
