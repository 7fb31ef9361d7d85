"""The operations that networks consist of, which each runtime implements."""

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
        """Apply a transposed convolution: ``weight`` is (in, out, kh, kw), ``crop`` is cut off."""

    def crop(self, x: Tensor, edges: tuple[Pair, Pair]) -> Tensor:
        """Cut (top, bottom), (left, right) off."""

    def linear(self, x: Tensor, weight: Any, bias: Any = None) -> Tensor:
        """Apply ``x @ weight.T + bias`` to the last axis.

        ``weight`` is (out, in), or (n, out, in) and ``bias`` (n, 1, out) for n layers side by side,
        which are applied to x (..., n, rows, in).
        """

    def result(self, x: Tensor) -> Tensor:
        """Return ``x``, from which results are computed, as precise as the runtime can."""

    def add(self, a: Tensor, b: Any) -> Tensor:
        """Add, broadcasting; ``b`` may be a constant."""

    def subtract(self, a: Tensor, b: Any) -> Tensor:
        """Subtract, broadcasting; ``b`` may be a constant."""

    def multiply(self, a: Tensor, b: Any) -> Tensor:
        """Multiply, broadcasting; ``b`` may be a constant."""

    def rsqrt(self, x: Tensor) -> Tensor:
        """Compute 1 / sqrt(x)."""

    def gelu(self, x: Tensor) -> Tensor:
        """Apply the exact (erf) GELU."""

    def relu(self, x: Tensor) -> Tensor:
        """Apply the ReLU."""

    def sigmoid(self, x: Tensor) -> Tensor:
        """Apply the logistic function."""

    def tanh(self, x: Tensor) -> Tensor:
        """Apply the hyperbolic tangent."""

    def mean(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """Average over ``axes``, which stay with length 1."""

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """Concatenate along an axis."""

    def channels(self, x: Tensor, start: int, stop: int) -> Tensor:
        """Return channels ``start`` to ``stop``."""

    def cut(self, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
        """Return positions ``start`` to ``stop`` of an axis."""

    def expand(self, x: Tensor, width: int) -> Tensor:
        """Repeat the last axis, of length 1, ``width`` times."""

    def shape(self, x: Tensor) -> tuple[int, ...]:
        """Return the shape."""

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Reshape; 0 keeps an axis, -1 stands for the rest."""

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        """Permute axes."""

    def standardize(self, x: Tensor, axes: Sequence[int], epsilon: float) -> Tensor:
        """Subtract the mean and divide by sqrt(variance + epsilon), both over ``axes``."""

    def attention(self, query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
        """Apply multi-head attention to (batch, tokens, width) with an already scaled query."""

    def unit(self, x: Tensor) -> Tensor:
        """Divide by the Euclidean norm over the last axis; zeros stay zeros."""

    def axial_attention(self, query: Tensor, key: Tensor, value: Tensor, axis: int) -> Tensor:
        """Apply attention along axis 1 or 2 of (batch, frames, bands, heads, width).

        The query is already scaled. Positions that differ in the other axis do not see each other.
        """
