"""The network's operations as nodes of an OpenVINO graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from aistemsplitter_engine.families.ops import Pair
from aistemsplitter_engine.runtimes.openvino_without_telemetry import openvino
from aistemsplitter_engine.runtimes.openvino_without_telemetry import opset13 as ov

Value: TypeAlias = Any  # a node or one of its outputs; OpenVINO ships no types

_LONG = 1024  # numbers that are summed at once
_LARGEST = float(np.finfo(np.float32).max)
_SMALLEST = 1e-24  # added to sums of squares: the norm of numbers below all that matter
_MANY = 1 << 15  # from here on, OpenVINO's own standardization is too imprecise


class OpenVinoOps:
    """Operations that build nodes; constants are NumPy arrays or numbers and become float32.

    ``exact`` sums long rows in steps. OpenVINO adds number after number, and in silence, where all
    are the same, each addition errs in the same direction: by 1e-5 in all over a segment. In bf16
    that does not matter, and the partial sums would be rounded to bf16.
    """

    def __init__(self, *, exact: bool) -> None:
        self._exact = exact

    def conv(
        self,
        x: Value,
        weight: Any,
        bias: Any,
        *,
        stride: Pair = (1, 1),
        padding: tuple[Pair, Pair] = ((0, 0), (0, 0)),
        dilation: Pair = (1, 1),
    ) -> Any:
        (top, bottom), (left, right) = padding
        y = ov.convolution(
            x, _constant(weight), list(stride), [top, left], [bottom, right], list(dilation)
        )
        return ov.add(y, _constant(bias.reshape(1, -1, 1, 1)))

    def conv_transpose(
        self, x: Value, weight: Any, bias: Any, stride: Pair, crop: tuple[Pair, Pair]
    ) -> Any:
        (top, bottom), (left, right) = crop
        y = ov.convolution_backprop_data(
            x,
            _constant(weight),
            list(stride),
            pads_begin=[top, left],
            pads_end=[bottom, right],
        )
        return ov.add(y, _constant(bias.reshape(1, -1, 1, 1)))

    def crop(self, x: Value, edges: tuple[Pair, Pair]) -> Any:
        height, width = self.shape(x)[2:]
        (top, bottom), (left, right) = edges
        start, stop = [top, left], [height - bottom, width - right]
        return ov.slice(x, *(np.array(v, np.int32) for v in (start, stop, [1, 1], [2, 3])))

    def linear(self, x: Value, weight: Any, bias: Any = None) -> Any:
        y = ov.matmul(x, _constant(weight), False, True)
        if bias is not None:
            y = ov.add(y, _constant(bias))
        if not self._exact:
            return y
        # Clamps nothing, but makes oneDNN compute float32, which is faster here than MLAS.
        return ov.clamp(y, -_LARGEST, _LARGEST)

    def result(self, x: Value) -> Any:
        # Clamps nothing, but in bf16 makes the preceding convolution write float32.
        return ov.clamp(x, -_LARGEST, _LARGEST)

    def add(self, a: Value, b: Any) -> Any:
        return ov.add(a, _constant(b))

    def subtract(self, a: Value, b: Any) -> Any:
        return ov.subtract(a, _constant(b))

    def multiply(self, a: Value, b: Any) -> Any:
        return ov.multiply(a, _constant(b))

    def rsqrt(self, x: Value) -> Any:
        return ov.power(x, _constant(-0.5))

    def gelu(self, x: Value) -> Any:
        return ov.gelu(x, "erf")

    def relu(self, x: Value) -> Any:
        return ov.relu(x)

    def sigmoid(self, x: Value) -> Any:
        return ov.sigmoid(x)

    def tanh(self, x: Value) -> Any:
        return ov.tanh(x)

    def mean(self, x: Value, axes: Sequence[int]) -> Any:
        if not self._exact:
            return ov.reduce_mean(x, np.array(axes, np.int32), keep_dims=True)
        count = math.prod(self.shape(x)[axis] for axis in axes)
        for axis in sorted(axes, reverse=True):
            x = self._sum(x, axis)
        return ov.multiply(x, _constant(1 / count))

    def _sum(self, x: Value, axis: int) -> Any:
        shape = self.shape(x)
        length = shape[axis]
        if length > _LONG:  # rows first
            fewest = -(-length // _LONG)
            rows = next((n for n in range(fewest, _LONG) if length % n == 0), fewest)
            columns = -(-length // rows)
            if missing := rows * columns - length:  # zeros fill the last row
                none = np.zeros(len(shape), np.int32)
                fill = none.copy()
                fill[axis] = missing
                x = ov.pad(x, none, fill, "constant")
            x = ov.reshape(x, np.array([*shape[:axis], rows, columns, *shape[axis + 1 :]]), False)
            x = ov.reduce_sum(x, np.array([axis + 1], np.int32), keep_dims=False)
        return ov.reduce_sum(x, np.array([axis], np.int32), True)

    def concat(self, parts: Sequence[Value], axis: int) -> Any:
        return ov.concat(list(parts), axis)

    def channels(self, x: Value, start: int, stop: int) -> Any:
        return self.cut(x, 1, start, stop)

    def cut(self, x: Value, axis: int, start: int, stop: int) -> Any:
        return ov.slice(x, *(np.array([v], np.int32) for v in (start, stop, 1, axis)))

    def expand(self, x: Value, width: int) -> Any:
        return ov.tile(x, np.array([1, 1, 1, width], np.int32))

    def shape(self, x: Value) -> tuple[int, ...]:
        return tuple(_output(x).get_shape())

    def reshape(self, x: Value, shape: Sequence[int]) -> Any:
        return ov.reshape(x, np.array(shape, np.int32), special_zero=True)

    def transpose(self, x: Value, order: Sequence[int]) -> Any:
        return ov.transpose(x, np.array(order, np.int32))

    def standardize(self, x: Value, axes: Sequence[int], epsilon: float) -> Any:
        if not self._exact or math.prod(self.shape(x)[axis] for axis in axes) < _MANY:
            return ov.mvn(x, np.array(axes, np.int32), True, epsilon, "inside_sqrt")
        x = ov.subtract(x, self.mean(x, axes))
        variance = self.mean(ov.multiply(x, x), axes)
        return ov.multiply(x, self.rsqrt(ov.add(variance, _constant(epsilon))))

    def attention(self, query: Value, key: Value, value: Value, heads: int) -> Any:
        *_, width = self.shape(query)

        def split(x: Value) -> Any:
            x = ov.reshape(x, np.array([0, 0, heads, width // heads], np.int32), True)
            return ov.transpose(x, np.array([0, 2, 1, 3], np.int32))

        # OpenVINO's attention node would transpose the keys in a separate step.
        weights = ov.softmax(ov.matmul(split(query), split(key), False, True), -1)
        y = ov.transpose(
            ov.matmul(weights, split(value), False, False), np.array([0, 2, 1, 3], np.int32)
        )
        return ov.reshape(y, np.array([0, 0, width], np.int32), True)

    def unit(self, x: Value) -> Any:
        squares = ov.reduce_sum(ov.multiply(x, x), np.array([-1], np.int32), True)
        return ov.multiply(x, ov.power(ov.add(squares, _constant(_SMALLEST)), _constant(-0.5)))

    def axial_attention(self, query: Value, key: Value, value: Value, axis: int) -> Any:
        *_, frames, bands, heads, width = self.shape(query)
        # Heads before tokens: (batch * frames or bands, heads, tokens, width) and back.
        there, back = ((0, 2, 3, 1, 4), (0, 3, 1, 2, 4)) if axis == 1 else ((0, 1, 3, 2, 4),) * 2
        rows, tokens = (bands, frames) if axis == 1 else (frames, bands)

        def split(x: Value) -> Any:
            return self.reshape(self.transpose(x, there), (-1, heads, tokens, width))

        weights = ov.softmax(ov.matmul(split(query), split(key), False, True), -1)
        y = ov.matmul(weights, split(value), False, False)
        return self.transpose(self.reshape(y, (-1, rows, heads, tokens, width)), back)


def _output(x: Value) -> Any:
    return x if isinstance(x, openvino.Output) else x.output(0)


def _constant(x: Any) -> Any:
    if isinstance(x, openvino.Node | openvino.Output):
        return x
    return ov.constant(np.ascontiguousarray(x, np.float32))
