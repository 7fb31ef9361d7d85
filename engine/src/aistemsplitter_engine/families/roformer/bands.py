"""The bands of a spectrogram: side by side in BS-RoFormer, overlapping in Mel-Band RoFormer."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, pairwise

import numpy as np

Bands = tuple[tuple[int, int], ...]
"""The first bin of each band, and the first one after it."""

_LINEAR = 200 / 3  # Hz of a mel, up to the first of the logarithmic ones
_LOGARITHMIC = 1000.0  # Hz
_STEP = np.log(6.4) / 27  # of the logarithm of the frequency, a mel


def bands_side_by_side(sizes: Sequence[int]) -> Bands:
    """Return bands of these sizes in bins, each beginning where the previous one ends."""
    return tuple(pairwise(accumulate(sizes, initial=0)))


@lru_cache(maxsize=8)
def mel_bands(count: int, nfft: int, sample_rate: int) -> Bands:
    """Return the bands in which a mel filter bank by Slaney's formula is not zero.

    As in librosa with its defaults. The first band also has bin 0, and the last one the highest.
    """
    highest = _mel(sample_rate / 2)
    edges = _hertz(np.linspace(0, highest, count + 2))
    bins = np.fft.rfftfreq(nfft, 1 / sample_rate)
    lengths = np.diff(edges)
    # As librosa calculates it, since rounding decides about bins at the very edges.
    ramps = np.subtract.outer(edges, bins)
    lower, upper = -ramps[:-2] / lengths[:-1, None], ramps[2:] / lengths[1:, None]
    weights = np.maximum(0, np.minimum(lower, upper))
    weights *= (2 / (edges[2:] - edges[:-2]))[:, None]
    inside = weights.astype(np.float32) > 0
    inside[0, 0] = inside[-1, -1] = True
    found = (np.flatnonzero(row) for row in inside)
    return tuple((int(band[0]), int(band[-1]) + 1) if len(band) else (0, 0) for band in found)


def _mel(frequency: float) -> float:
    if frequency < _LOGARITHMIC:
        return frequency / _LINEAR
    return float(_LOGARITHMIC / _LINEAR + np.log(frequency / _LOGARITHMIC) / _STEP)


def _hertz(mels: np.ndarray) -> np.ndarray:
    knee = _LOGARITHMIC / _LINEAR
    return np.where(mels < knee, mels * _LINEAR, _LOGARITHMIC * np.exp(_STEP * (mels - knee)))
