"""The network's operations in PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from aistemsplitter_engine.families.ops import Pair


class TorchOps:
    """Operations that run immediately, on the tensors' device; norms compute in float32."""

    def conv(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        *,
        stride: Pair = (1, 1),
        padding: tuple[Pair, Pair] = ((0, 0), (0, 0)),
        dilation: Pair = (1, 1),
    ) -> Tensor:
        (top, bottom), (left, right) = padding
        if (top, left) != (bottom, right):
            x = F.pad(x, (0, right - left, 0, bottom - top))
        return F.conv2d(x, weight, bias, stride, (top, left), dilation)

    def conv_transpose(
        self, x: Tensor, weight: Tensor, bias: Tensor, stride: Pair, crop: tuple[Pair, Pair]
    ) -> Tensor:
        return self.crop(F.conv_transpose2d(x, weight, bias, stride), crop)

    def crop(self, x: Tensor, edges: tuple[Pair, Pair]) -> Tensor:
        (top, bottom), (left, right) = edges
        return x[:, :, top : x.shape[2] - bottom, left : x.shape[3] - right]

    def linear(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        if weight.ndim == 2:
            return F.linear(x, weight, bias)
        y = torch.matmul(x, weight.mT)
        return y if bias is None else y + bias

    def result(self, x: Tensor) -> Tensor:
        return x

    def add(self, a: Tensor, b: Any) -> Tensor:
        return a + b

    def subtract(self, a: Tensor, b: Any) -> Tensor:
        return a - b

    def multiply(self, a: Tensor, b: Any) -> Tensor:
        return a * b

    def rsqrt(self, x: Tensor) -> Tensor:
        return torch.rsqrt(x)

    def gelu(self, x: Tensor) -> Tensor:
        return F.gelu(x)

    def relu(self, x: Tensor) -> Tensor:
        return F.relu(x)

    def sigmoid(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)

    def tanh(self, x: Tensor) -> Tensor:
        return torch.tanh(x)

    def mean(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        return x.mean(tuple(axes), keepdim=True)

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        return torch.cat(list(parts), axis)

    def channels(self, x: Tensor, start: int, stop: int) -> Tensor:
        return x[:, start:stop]

    def cut(self, x: Tensor, axis: int, start: int, stop: int) -> Tensor:
        return x.narrow(axis, start, stop - start)

    def expand(self, x: Tensor, width: int) -> Tensor:
        return x.expand(*x.shape[:-1], width)

    def shape(self, x: Tensor) -> tuple[int, ...]:
        return tuple(x.shape)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        return x.reshape([x.shape[i] if size == 0 else size for i, size in enumerate(shape)])

    def transpose(self, x: Tensor, order: Sequence[int]) -> Tensor:
        return x.permute(*order)

    def standardize(self, x: Tensor, axes: Sequence[int], epsilon: float) -> Tensor:
        if tuple(axes) == tuple(range(x.ndim - len(axes), x.ndim)):
            return F.layer_norm(x, x.shape[x.ndim - len(axes) :], eps=epsilon)
        variance, mean = torch.var_mean(x.float(), tuple(axes), correction=0, keepdim=True)
        return ((x - mean) * torch.rsqrt(variance + epsilon)).to(x.dtype)

    def attention(self, query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
        def split(x: Tensor) -> Tensor:
            return x.unflatten(2, (heads, -1)).transpose(1, 2)

        y = F.scaled_dot_product_attention(split(query), split(key), split(value), scale=1.0)
        return y.transpose(1, 2).flatten(2)

    def unit(self, x: Tensor) -> Tensor:
        return F.normalize(x.float(), dim=-1).to(x.dtype)

    def axial_attention(self, query: Tensor, key: Tensor, value: Tensor, axis: int) -> Tensor:
        # Heads before tokens: (batch, frames or bands, heads, tokens, width) and back.
        there, back = ((0, 2, 3, 1, 4), (0, 3, 1, 2, 4)) if axis == 1 else ((0, 1, 3, 2, 4),) * 2
        q, k, v = (x.permute(*there).flatten(0, 1) for x in (query, key, value))
        y = F.scaled_dot_product_attention(q, k, v, scale=1.0)
        return y.unflatten(0, (len(query), -1)).permute(*back)
