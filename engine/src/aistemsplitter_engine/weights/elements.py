"""The number formats that checkpoints store, as NumPy arrays.

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
    """Return numbers of the format ``element``, stored as ``STORED_AS[element]``, C-contiguous.

    bfloat16 and float64 come as float32, which the network computes in, the rest as stored, and
    uncopied where they were contiguous already.
    """
    if element == BFLOAT16:
        return (values.astype(np.uint32, order="C") << 16).view(np.float32)
    if element == "float64":
        with np.errstate(over="ignore"):  # the finite check of the checkpoint names the tensor
            return values.astype(np.float32, order="C")
    return np.ascontiguousarray(values).reshape(values.shape)
