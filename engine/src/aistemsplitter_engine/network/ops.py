"""The operations that the network is made of; each runtime has its own way to carry them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar

Tensor = TypeVar("Tensor")
Pair = tuple[int, int]


class Ops(Protocol[Tensor]):
    """A small set of array operations. Images are (batch, channels, height, width)."""

    def conv(
        self,
        x: Tensor,
        weight: Any,
        bias: Any,
        *,
        stride: Pair = (1, 1),
        padding: tuple[Pair, Pair] = ((0, 0), (0, 0)),
        dilation: Pair = (1, 1),
    ) -> Tensor:
        """Convolve; ``weight`` is (out, in, kh, kw), ``padding`` (top, bottom), (left, right)."""

    def conv_transpose(
        self, x: Tensor, weight: Any, bias: Any, stride: Pair, crop: tuple[Pair, Pair]
    ) -> Tensor:
        """Convolve transposed; ``weight`` is (in, out, kh, kw), ``crop`` is cut off the edges."""

    def crop(self, x: Tensor, edges: tuple[Pair, Pair]) -> Tensor:
        """Cut (top, bottom), (left, right) off."""

    def linear(self, x: Tensor, weight: Any, bias: Any) -> Tensor:
        """Apply ``x @ weight.T + bias`` to the last axis."""

    def result(self, x: Tensor) -> Tensor:
        """Keep x, which the results are made of, as precise as the runtime can."""

    def add(self, a: Tensor, b: Any) -> Tensor:
        """Add, broadcasting; ``b`` may be a constant."""

    def subtract(self, a: Tensor, b: Any) -> Tensor:
        """Subtract, broadcasting; ``b`` may be a constant."""

    def multiply(self, a: Tensor, b: Any) -> Tensor:
        """Multiply, broadcasting; ``b`` may be a constant."""

    def rsqrt(self, x: Tensor) -> Tensor:
        """One over the square root."""

    def gelu(self, x: Tensor) -> Tensor:
        """Exact (erf) GELU."""

    def relu(self, x: Tensor) -> Tensor:
        """Rectify."""

    def sigmoid(self, x: Tensor) -> Tensor:
        """Logistic function."""

    def mean(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Mean over axes, which stay with length one."""

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Join along an axis."""

    def channels(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Cut ``start`` to ``stop`` out of axis 1."""

    def spread(self, x: Tensor, width: int) -> Tensor:
        """Repeat the last axis, of length one, ``width`` times."""

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """Tell the shape."""

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Reshape; 0 keeps that axis, -1 is what remains."""

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """Permute axes."""

    def standardize(self, x: Tensor, axes: Sequence[int], epsilon: float) -> Tensor:
        """Subtract the mean and divide by sqrt(variance + epsilon), both over ``axes``."""

    def attention(self, query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
        """Multi-head attention of (batch, tokens, width) inputs; the query is already scaled."""
