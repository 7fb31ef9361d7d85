"""BS-RoFormer (Lu et al. 2023) and Mel-Band RoFormer (Wang et al. 2023), written once.

A token stands for one band of the spectrogram in one frame. Transformers attend in turn along the
frames and along the bands, with rotary embeddings of the positions. From the tokens, a mask
estimator for each source computes masks of the spectrogram.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aistemsplitter_engine.families.layers import Linear
from aistemsplitter_engine.families.ops import Ops
from aistemsplitter_engine.families.roformer.config import NUMBERS, Configuration
from aistemsplitter_engine.families.roformer.parameters import (
    Layer,
    MaskEstimator,
    Pairs,
    Parameters,
    Rotation,
    Transformer,
)

_FRAMES, _BANDS = 1, 2  # axes of tokens


def roformer(
    ops: Ops[Any], config: Configuration, parameters: Parameters, features: Any
) -> tuple[Any, ...]:
    """Compute the masks of all sources.

    ``features`` is (batch, frames, numbers): the real and imaginary parts of the bands, one band
    after the other, each divided by its norm. So is each mask, whose bands may overlap: their sum
    is the mask of the spectrogram.
    """
    x = _tokens(ops, config, parameters.bands, features)
    for over_frames, over_bands in parameters.pairs:
        x = _transform(ops, config, over_frames, _FRAMES, x)
        x = _transform(ops, config, over_bands, _BANDS, x)
    x = ops.transpose(x, (0, 2, 1, 3))  # (batch, bands, frames, width)
    if not config.sizes.mel:
        x = ops.unit(x)
    return tuple(ops.result(_mask(ops, estimator, x)) for estimator in parameters.masks)


def _tokens(ops: Ops[Any], config: Configuration, layers: Sequence[Linear], features: Any) -> Any:
    """Return the tokens (batch, frames, bands, width)."""
    tokens, start = [], 0
    for bins, layer in zip(config.sizes.bands, layers, strict=True):
        stop = start + NUMBERS * bins
        band = ops.cut(features, 2, start, stop)
        band = ops.linear(band, layer.weight, layer.bias)
        tokens.append(ops.reshape(band, (0, 0, 1, config.sizes.width)))
        start = stop
    return ops.concat(tokens, _BANDS)


def _transform(
    ops: Ops[Any], config: Configuration, transformer: Transformer, axis: int, x: Any
) -> Any:
    for layer in transformer.layers:
        x = ops.add(x, _attend(ops, config, layer, axis, ops.unit(x)))
        h = ops.linear(ops.unit(x), layer.up.weight, layer.up.bias)
        x = ops.add(x, ops.linear(ops.gelu(h), layer.down.weight, layer.down.bias))
    return x if transformer.gain is None else ops.multiply(ops.unit(x), transformer.gain)


def _attend(ops: Ops[Any], config: Configuration, layer: Layer, axis: int, x: Any) -> Any:
    heads, width = config.sizes.heads, config.sizes.head_width
    value = ops.reshape(ops.linear(x, layer.value.weight), (0, 0, 0, heads, width))
    query, key = (_rotated(ops, config, p, layer.rotation, x) for p in (layer.query, layer.key))
    attended = ops.axial_attention(query, key, value, axis)
    gates = ops.sigmoid(ops.linear(x, layer.gates.weight, layer.gates.bias))
    attended = ops.multiply(attended, ops.reshape(gates, (0, 0, 0, heads, 1)))
    return ops.linear(ops.reshape(attended, (0, 0, 0, heads * width)), layer.out.weight)


def _rotated(ops: Ops[Any], config: Configuration, pairs: Pairs, rotation: Rotation, x: Any) -> Any:
    """Return queries or keys (batch, frames, bands, heads, width), turned by their position."""
    shape = 0, 0, 0, config.sizes.heads, config.sizes.head_width // 2
    a = ops.reshape(ops.linear(x, pairs.first.weight), shape)
    b = ops.reshape(ops.linear(x, pairs.second.weight), shape)
    cos, sin = rotation.cos, rotation.sin
    first = ops.subtract(ops.multiply(a, cos), ops.multiply(b, sin))
    second = ops.add(ops.multiply(b, cos), ops.multiply(a, sin))
    return ops.concat([first, second], 4)


def _mask(ops: Ops[Any], estimator: MaskEstimator, x: Any) -> Any:
    """Return a source's mask of tokens (batch, bands, frames, width)."""
    for layer in estimator.hidden:
        x = ops.tanh(ops.linear(x, layer.weight, layer.bias))
    masks = []
    for band, (value, gate) in enumerate(zip(estimator.value, estimator.gate, strict=True)):
        h = ops.cut(x, 1, band, band + 1)
        opening = ops.sigmoid(ops.linear(h, gate.weight, gate.bias))
        masks.append(ops.multiply(ops.linear(h, value.weight, value.bias), opening))
    mask = ops.concat(masks, 3)
    _, _, frames, numbers = ops.shape(mask)
    return ops.reshape(mask, (0, frames, numbers))
