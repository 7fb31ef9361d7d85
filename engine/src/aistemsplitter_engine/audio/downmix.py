"""Downmixing any loudspeaker layout to stereo.

Uses the coefficients of ITU-R BS.775, not normalized, so that the front channels keep their level
and the stems of a surround mix add up to its downmix. As there, the LFE channel is left out.
"""

from functools import cache

import numpy as np

from aistemsplitter_engine.arrays import FloatArray

HALF = 0.5**0.5  # -3 dB: half the power to each side

_LEFT, _RIGHT, _SIDE_LEFT, _SIDE_RIGHT = (1.0, 0.0), (0.0, 1.0), (HALF, 0.0), (0.0, HALF)
_CENTRE, _FAR_CENTRE, _NOTHING = (HALF, HALF), (0.5, 0.5), (0.0, 0.0)

# By FFmpeg's names of the positions.
_POSITIONS = {
    **dict.fromkeys(["FL", "FLC", "DL", "WL", "BIL"], _LEFT),
    **dict.fromkeys(["FR", "FRC", "DR", "WR", "BIR"], _RIGHT),
    **dict.fromkeys(["BL", "SL", "SDL", "SSL", "TFL", "TSL", "TBL", "BFL", "TTL"], _SIDE_LEFT),
    **dict.fromkeys(["BR", "SR", "SDR", "SSR", "TFR", "TSR", "TBR", "BFR", "TTR"], _SIDE_RIGHT),
    **dict.fromkeys(["FC", "BFC", "TFC"], _CENTRE),
    **dict.fromkeys(["BC", "TC", "TBC"], _FAR_CENTRE),
    **dict.fromkeys(["LFE", "LFE2"], _NOTHING),
    # Ambisonics: two cardioid microphones, to the left and to the right.
    "AMBI0": (0.5, 0.5),
    "AMBI1": (0.5, -0.5),
    **dict.fromkeys([f"AMBI{n}" for n in range(2, 64)], _NOTHING),
}

_STEREO = np.eye(2, dtype=np.float32)  # the matrix that changes nothing

# The positions of channels in files that do not state them, in WAV's order.
_CUSTOMARY = {
    2: ("FL", "FR"),
    3: ("FL", "FR", "FC"),
    4: ("FL", "FR", "BL", "BR"),
    5: ("FL", "FR", "FC", "BL", "BR"),
    6: ("FL", "FR", "FC", "LFE", "BL", "BR"),
    7: ("FL", "FR", "FC", "LFE", "BC", "SL", "SR"),
    8: ("FL", "FR", "FC", "LFE", "BL", "BR", "SL", "SR"),
}


@cache
def fold_matrix(positions: tuple[str, ...]) -> FloatArray | None:
    """Return the (2, channels) matrix that downmixes these loudspeaker positions to stereo.

    None for more than eight channels of unknown positions.
    """
    if len(positions) == 1:
        return np.ones((2, 1), dtype=np.float32)
    if not any(position in _POSITIONS for position in positions):
        if len(positions) not in _CUSTOMARY:
            return None
        positions = _CUSTOMARY[len(positions)]
    columns = [_POSITIONS.get(position, _CENTRE) for position in positions]
    matrix: FloatArray = np.array(columns, dtype=np.float32).T
    return _STEREO if np.array_equal(matrix, _STEREO) else matrix


def fold(samples: FloatArray, matrix: FloatArray) -> FloatArray:
    """Return (channels, n) samples as (2, n), by a matrix of :func:`fold_matrix`."""
    if matrix is _STEREO:  # an MP3 has 40 frames a second, and comparing takes time
        return samples
    if matrix.shape[1] == 1:
        return np.repeat(samples, 2, axis=0)
    return matrix @ samples
