"""Arrays of audio: (channels, frames) in float32, full scale at -1 and 1."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

BLOCK_FRAMES = 65536
"""Maximum number of frames in a block: about 1.5 s at 44.1 kHz, half a megabyte of stereo."""


def interleaved(block: NDArray[Any]) -> NDArray[Any]:
    """Return a block (channels, n) as (n, channels), contiguous in memory."""
    # Copying the transposed array would take five times as long.
    return np.stack(list(block), axis=-1)


def clock(frames: int, sample_rate: int) -> str:
    """Return a position for a message, such as ``1:02:03.4`` or ``0:00.0``."""
    minutes, tenths = divmod(frames * 10 // sample_rate, 600)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{tenths / 10:04.1f}"
    return f"{hours}:{minutes:02}:{seconds}" if hours else f"{minutes}:{seconds}"
