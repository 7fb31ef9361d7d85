"""A checkpoint's weights, rearranged once so that the network computes less.

* The gain of a norm, and the square root of its width, are multiplied into the layers after it.
* Rotary embeddings turn pairs of neighbouring numbers. Here the first of all pairs and the second
  ones come from two maps, so that nothing has to be interleaved; a query's product with a key does
  not depend on the order of their numbers.
* The scale of the attention is part of the query.
* Where bands overlap, masks are averaged: their weights are part of the last layer.
* The hidden layers of the mask estimators, alike in all bands, are stacked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.layers import Linear, Weights
from aistemsplitter_engine.families.roformer.config import NUMBERS, Configuration
from aistemsplitter_engine.families.roformer.sizes import find_frequencies


@dataclass(frozen=True, slots=True)
class Pairs:
    """Maps to the first and to the second numbers of the pairs that a rotary embedding turns."""

    first: Linear
    second: Linear


@dataclass(frozen=True, slots=True)
class Rotation:
    """Cosines and sines of the angles, for every position and pair."""

    cos: Any
    sin: Any


@dataclass(frozen=True, slots=True)
class Layer:
    """An attention and a feed-forward layer, each with the norm before it folded in."""

    rotation: Rotation
    query: Pairs
    key: Pairs
    value: Linear
    gates: Linear
    out: Linear
    up: Linear
    down: Linear


@dataclass(frozen=True, slots=True)
class Transformer:
    """Layers over one axis, and the gain of the norm after them, or None without one."""

    layers: tuple[Layer, ...]
    gain: Any


@dataclass(frozen=True, slots=True)
class MaskEstimator:
    """Hidden layers of all bands, and for each band the two halves of its gated linear unit."""

    hidden: tuple[Linear, ...]
    value: tuple[Linear, ...]
    gate: tuple[Linear, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The network's weights, ready for :func:`network.roformer`."""

    bands: tuple[Linear, ...]
    pairs: tuple[tuple[Transformer, Transformer], ...]
    masks: tuple[MaskEstimator, ...]


def prepare(config: Configuration, weights: Weights, xp: Any = np) -> Parameters:
    """Rearrange float32 ``weights`` by official names; ``xp`` is their module, NumPy or torch."""
    return _Preparation(config, weights, xp).parameters()


class _Preparation:
    def __init__(self, config: Configuration, weights: Weights, xp: Any) -> None:
        self.config, self.sizes, self.weights, self.xp = config, config.sizes, weights, xp
        self._rotations: dict[tuple[int, bytes], Rotation] = {}

    def parameters(self) -> Parameters:
        sizes = self.sizes
        return Parameters(
            bands=tuple(
                self._normed(f"band_split.to_features.{b}.1", f"band_split.to_features.{b}.0")
                for b in range(len(sizes.bands))
            ),
            pairs=tuple(
                (self._transformer(f"layers.{i}.0", 0), self._transformer(f"layers.{i}.1", 1))
                for i in range(sizes.depth)
            ),
            masks=tuple(
                self._mask_estimator(f"mask_estimators.{s}.to_freqs")
                for s in self.config.estimators
            ),
        )

    def _transformer(self, name: str, axis: int) -> Transformer:
        return Transformer(
            layers=tuple(
                self._layer(f"{name}.layers.{j}", axis) for j in range(self.sizes.layers[axis])
            ),
            gain=self._gain(f"{name}.norm") if self.sizes.mel else None,
        )

    def _layer(self, name: str, axis: int) -> Layer:
        heads, width = self.sizes.heads, self.sizes.head_width
        attention, gain = f"{name}.0", self._gain(f"{name}.0.norm")
        qkv = self.weights[f"{attention}.to_qkv.weight"] * gain
        query, key, value = qkv.reshape(3, heads * width, -1)
        return Layer(
            rotation=self._rotation(f"{attention}.rotary_embed.freqs", axis),
            query=self._pairs(query * width**-0.5),
            key=self._pairs(key),
            value=Linear(value),
            gates=self._normed(f"{attention}.to_gates", f"{attention}.norm"),
            out=Linear(self.weights[f"{attention}.to_out.0.weight"]),
            up=self._normed(f"{name}.1.net.1", f"{name}.1.net.0"),
            down=self._linear(f"{name}.1.net.4"),
        )

    def _pairs(self, weight: Any) -> Pairs:
        """Separate the rows of a map to (heads, pairs, 2) numbers."""
        rows = weight.reshape(-1, 2, weight.shape[1])
        return Pairs(Linear(rows[:, 0]), Linear(rows[:, 1]))

    def _rotation(self, name: str, axis: int) -> Rotation:
        """Return the angles' cosines and sines: (frames, 1, 1, pairs) or (bands, 1, pairs).

        Those of float16 files are rounded, and the model was used with the rounded ones.
        """
        found = find_frequencies(name, self.weights) or name
        frequencies = np.asarray(self.weights[found], np.float32)
        key = axis, frequencies.tobytes()
        if key not in self._rotations:
            positions = self.config.frames if axis == 0 else len(self.sizes.bands)
            angles = np.arange(positions, dtype=np.float32)[:, None] * frequencies
            angles = angles.reshape(positions, *[1] * (2 - axis), -1).astype(np.float64)
            self._rotations[key] = Rotation(
                self._array(np.cos(angles)), self._array(np.sin(angles))
            )
        return self._rotations[key]

    def _mask_estimator(self, name: str) -> MaskEstimator:
        bands, last = range(len(self.sizes.bands)), 2 * self.sizes.mask_layers
        hidden = [
            self._stacked([self._linear(f"{name}.{b}.0.{n}") for b in bands])
            for n in range(0, last, 2)
        ]
        if not self.sizes.mel:  # the norm before it
            hidden[0] = Linear(hidden[0].weight * self._gain("final_norm"), hidden[0].bias)
        outputs = [self._linear(f"{name}.{b}.0.{last}") for b in bands]
        shares = [self._array(share)[:, None] for share in _shares(self.config)]
        halves = [len(output.bias) // 2 for output in outputs]
        return MaskEstimator(
            hidden=tuple(hidden),
            value=tuple(
                Linear(o.weight[:half] * share, o.bias[:half] * share[:, 0])
                for o, half, share in zip(outputs, halves, shares, strict=True)
            ),
            gate=tuple(
                Linear(o.weight[half:], o.bias[half:])
                for o, half in zip(outputs, halves, strict=True)
            ),
        )

    def _stacked(self, layers: list[Linear]) -> Linear:
        weights, biases = (
            [getattr(layer, kind) for layer in layers] for kind in ("weight", "bias")
        )
        return Linear(self.xp.stack(weights), self.xp.stack(biases)[:, None])

    def _linear(self, name: str) -> Linear:
        return Linear(self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _normed(self, name: str, norm: str) -> Linear:
        layer = self._linear(name)
        return Linear(layer.weight * self._gain(norm), layer.bias)

    def _gain(self, norm: str) -> Any:
        gamma = self.weights[f"{norm}.gamma"]
        return gamma * len(gamma) ** 0.5

    def _array(self, values: Any) -> Any:
        return self.xp.asarray(np.asarray(values, np.float32))


def _shares(config: Configuration) -> list[FloatArray]:
    """Return for each band the weights of its numbers in the average with overlapping bands."""
    count = np.zeros(config.bins, np.float32)
    for start, stop in config.bands:
        count[start:stop] += 1
    return [np.repeat(1 / count[start:stop], NUMBERS) for start, stop in config.bands]
