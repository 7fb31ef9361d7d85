"""Winograd convolutions: three taps along the width with half the multiplications.

F(4, 3) computes four adjacent outputs from six products of transformed inputs and taps, in place of
twelve products. The transforms cost passes over memory, so this pays with many channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.families.ops import Pair
from aistemsplitter_engine.runtimes.openvino_without_telemetry import opset13 as ov

_TILE = 4  # outputs of one tile
_POINTS = (0, 3 / 4, -3 / 4, 3 / 2, -3 / 2)  # and infinity; these lose less than 0, 1, -1, 2, -2
_FEWEST = 96  # channels on either side


def is_worth_it(weight: NDArray[np.float32]) -> bool:
    """Return whether a kernel (out, in, kh, kw) is supported here, and faster."""
    out, into, height, width = weight.shape
    return bool(min(out, into) >= _FEWEST and height > 1 and width == 3)


def transform(x: Any, shape: Sequence[int]) -> list[Any]:
    """Transform an image (batch, channels, height, width) to the six values of each tile."""
    _, channels, _, width = shape
    start, stop = [0, 1], [0, 1 + -width % _TILE]
    kernels = np.tile(
        _inputs().astype(np.float32)[:, None, None, None, None], (channels, 1, 1, 1, 1)
    )
    return [
        ov.group_convolution(x, ov.constant(kernel), [1, _TILE], start, stop, [1, 1])
        for kernel in kernels
    ]


def convolve(values: Sequence[Any], weight: NDArray[np.float32], rows: Pair, width: int) -> Any:
    """Convolve a transformed image of this width, padded by ``rows`` and by 1."""
    taps = np.einsum("jk,oihk->joih", _taps(), weight.astype(np.float64)).astype(np.float32)
    (top, bottom), one = rows, [1, 1]
    products = [
        ov.convolution(x, ov.constant(tap[..., None]), one, [top, 0], [bottom, 0], one)
        for x, tap in zip(values, taps, strict=True)
    ]
    # With channels innermost, the channels of four images are four adjacent outputs.
    y = ov.concat([_sum(products, factors) for factors in _outputs()], 1)
    y = ov.transpose(y, np.array([0, 2, 3, 1], np.int32))
    y = ov.reshape(y, np.array([0, 0, -1, len(weight)], np.int32), special_zero=True)
    y = ov.transpose(y, np.array([0, 3, 1, 2], np.int32))
    if width % _TILE:
        y = ov.slice(y, *(np.array([v], np.int32) for v in (0, width, 1, 3)))
    return y


def _inputs() -> NDArray[np.float64]:
    """Return the transform of six inputs: polynomials that are zero at all points but one."""
    finite = [[*np.poly([p for p in _POINTS if p != point])[::-1], 0] for point in _POINTS]
    return np.array([*finite, np.poly(_POINTS)[::-1]])


def _taps() -> NDArray[np.float64]:
    """Return the transform of three taps to six values."""
    rows = [
        np.array([1, point, point**2]) / np.prod([point - p for p in _POINTS if p != point])
        for point in _POINTS
    ]
    return np.array([*rows, [0, 0, 1]])


def _outputs() -> NDArray[np.float64]:
    """Return the transform of six products to four outputs."""
    columns = [[point**k for k in range(_TILE)] for point in _POINTS]
    return np.array([*columns, [0] * (_TILE - 1) + [1]]).T


def _sum(parts: Sequence[Any], factors: Sequence[float]) -> Any:
    total = None
    for part, factor in zip(parts, factors, strict=True):
        if factor:
            term = part if factor == 1 else ov.multiply(part, np.float32(factor))
            total = term if total is None else ov.add(total, term)
    return total
