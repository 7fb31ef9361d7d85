"""Number formats of checkpoints, and their conversion to NumPy arrays.

Both file formats are little-endian. bfloat16, which NumPy does not have, is the upper half of a
float32, so widening it is a shift.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BFLOAT16 = "bfloat16"

STORED_AS: dict[str, np.dtype[Any]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
    "float64": np.dtype("<f8"),
    BFLOAT16: np.dtype("<u2"),
    "int64": np.dtype("<i8"),
    "int32": np.dtype("<i4"),
    "int16": np.dtype("<i2"),
    "int8": np.dtype("i1"),
    "uint8": np.dtype("u1"),
    "bool": np.dtype("?"),
}


def decode(values: NDArray[Any], element: str) -> NDArray[Any]:
    """Return a tensor's values as a C-contiguous array.

    bfloat16 and float64 become float32, the precision that the network computes in. Other formats
    stay as they are, and are not copied if they are contiguous already.

    Args:
        values: The stored numbers, of the type ``STORED_AS[element]``.
        element: Number format of the tensor, a key of :data:`STORED_AS`.
    """
    if element == BFLOAT16:
        return (values.astype(np.uint32, order="C") << 16).view(np.float32)
    if element == "float64":
        with np.errstate(over="ignore"):  # the checkpoint rejects infinite weights
            return values.astype(np.float32, order="C")
    return np.ascontiguousarray(values).reshape(values.shape)
