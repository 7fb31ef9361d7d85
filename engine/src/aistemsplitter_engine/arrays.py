"""Types of arrays that the whole engine uses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
"""Audio is (channels, frames), with full scale at -1 and 1."""
