"""The sizes of a RoFormer's layers, read off the shapes of its weights."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt

Shape = tuple[int, ...]
SHARED_BIASES = re.compile(
    r"linear_62_bias_0|linear_64_bias_0|layers\.\d+\.\d\.layers\.\d+\.0\.(to_qkv|to_out\.0)\.bias"
)
"""Biases that some checkpoints have, all zero, and that the network does not apply."""
_FREQUENCIES = re.compile(r"layers\.\d+\.([01])\.layers\.\d+\.0\.rotary_embed\.freqs")
_UNSUPPORTED = {
    "to_value_residual_mix": "value residuals",
    ".branch.": "hyper-connections",
    "hyper_conn": "hyper-connections",
    "pope": "PoPE",
    "segm.": "HyperACE",
    "conv": "convolutions, such as a Conformer's",
}
_MOST = 256  # layers, bands or stems
_WIDEST = 1 << 16


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of the layers.

    Attributes:
        mel: True for a Mel-Band RoFormer, False for a BS-RoFormer.
        width: Numbers of a token.
        depth: Pairs of a transformer over time and one over frequencies.
        layers: Layers of the transformers over time and of those over frequencies.
        heads: Heads of an attention layer.
        head_width: Width of a head.
        hidden: Hidden width of a feed-forward layer.
        bands: Bins of each band.
        stems: Mask estimators.
        mask_layers: Hidden layers of a mask estimator.
        mask_width: Width of these layers.
    """

    mel: bool
    width: int
    depth: int
    layers: tuple[int, int]
    heads: int
    head_width: int
    hidden: int
    bands: tuple[int, ...]
    stems: int
    mask_layers: int
    mask_width: int

    @classmethod
    def of(cls, shapes: Mapping[str, Shape]) -> Sizes:
        """Return the sizes of a network from the shapes of its weights by their official names.

        Raises:
            ModelError: The weights are not those of a supported network.
        """
        _refuse_other_networks(shapes)
        bands = _count(shapes, "band_split.to_features.{}.1.weight")
        inputs = [_shape(shapes, f"band_split.to_features.{b}.1.weight", 2) for b in range(bands)]
        if not inputs or any(numbers % 4 for _, numbers in inputs):
            raise ModelError("its bands do not have four numbers a bin; only stereo is supported")
        first = "layers.0.0.layers.0"
        heads = _shape(shapes, f"{first}.0.to_gates.weight", 2)[0]
        inner = _shape(shapes, f"{first}.0.to_qkv.weight", 2)[0] // 3
        if not heads or inner % (2 * heads):
            raise ModelError(f"its attention of {heads} heads has a width of {inner}")
        masks = "mask_estimators.0.to_freqs.0.0"
        mask_layers = _count(shapes, masks + ".{}.weight", step=2) - 1
        sizes = cls(
            mel="final_norm.gamma" not in shapes,
            width=inputs[0][0],
            depth=_count(shapes, "layers.{}.0.layers.0.1.net.0.gamma"),
            layers=(
                _count(shapes, "layers.0.0.layers.{}.1.net.0.gamma"),
                _count(shapes, "layers.0.1.layers.{}.1.net.0.gamma"),
            ),
            heads=heads,
            head_width=inner // heads,
            hidden=_shape(shapes, f"{first}.1.net.1.weight", 2)[0],
            bands=tuple(numbers // 4 for _, numbers in inputs),
            stems=_count(shapes, "mask_estimators.{}.to_freqs.0.0.0.weight"),
            mask_layers=mask_layers,
            mask_width=_shape(shapes, f"{masks}.0.weight", 2)[0],
        )
        if mask_layers < 1:
            raise ModelError("its mask estimators have no hidden layer, which is not supported")
        check_weights(sizes, shapes)
        return sizes


def check_weights(sizes: Sizes, shapes: Mapping[str, Shape]) -> None:
    """Raise :class:`ModelError` for a weight that is missing, of another shape, or unknown."""
    known = set()
    for name, shape in weight_shapes(sizes):  # one by one: sizes can name millions of weights
        if name not in shapes:
            if find_frequencies(name, shapes) is not None:
                continue
            raise ModelError(f"the checkpoint lacks the weight {name}")
        if tuple(shapes[name]) != shape:
            raise ModelError(
                f"the checkpoint's weight {name} has shape {tuple(shapes[name])}, expected {shape}"
            )
        known.add(name)
    for name in shapes:
        if name not in known and not SHARED_BIASES.fullmatch(name):
            raise ModelError(f"it has the weight {excerpt(name)}, which no supported RoFormer has")


def find_frequencies(name: str, weights: Collection[str]) -> str | None:
    """Return the name of a rotary embedding's frequencies, or of those of another layer.

    All layers over one axis share them, and some files have them once.
    """
    if name in weights:
        return name
    found = _FREQUENCIES.fullmatch(name)
    if found is None:
        return None
    others = (
        other for other in weights if (m := _FREQUENCIES.fullmatch(other)) and m[1] == found[1]
    )
    return next(others, None)


def weight_shapes(sizes: Sizes) -> Iterator[tuple[str, Shape]]:
    """Yield the name, as in official checkpoints, and the shape of every weight."""
    width, inner = sizes.width, sizes.heads * sizes.head_width
    for b, bins in enumerate(sizes.bands):
        name = f"band_split.to_features.{b}"
        yield f"{name}.0.gamma", (4 * bins,)
        yield from _linear(f"{name}.1", 4 * bins, width)
    for i in range(sizes.depth):
        for k in (0, 1):
            for j in range(sizes.layers[k]):
                name = f"layers.{i}.{k}.layers.{j}"
                yield f"{name}.0.rotary_embed.freqs", (sizes.head_width // 2,)
                yield f"{name}.0.norm.gamma", (width,)
                yield f"{name}.0.to_qkv.weight", (3 * inner, width)
                yield from _linear(f"{name}.0.to_gates", width, sizes.heads)
                yield f"{name}.0.to_out.0.weight", (width, inner)
                yield f"{name}.1.net.0.gamma", (width,)
                yield from _linear(f"{name}.1.net.1", width, sizes.hidden)
                yield from _linear(f"{name}.1.net.4", sizes.hidden, width)
            if sizes.mel:
                yield f"layers.{i}.{k}.norm.gamma", (width,)
    if not sizes.mel:
        yield "final_norm.gamma", (width,)
    for s in range(sizes.stems):
        for b, bins in enumerate(sizes.bands):
            name = f"mask_estimators.{s}.to_freqs.{b}.0"
            widths = [width, *[sizes.mask_width] * sizes.mask_layers, 8 * bins]
            for n, (inputs, outputs) in enumerate(pairwise(widths)):
                yield from _linear(f"{name}.{2 * n}", inputs, outputs)


def _linear(name: str, inputs: int, outputs: int) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", (outputs, inputs)
    yield f"{name}.bias", (outputs,)


def _refuse_other_networks(shapes: Mapping[str, Shape]) -> None:
    for name in shapes:
        for part, what in _UNSUPPORTED.items():
            if part in name:
                raise ModelError(f"it has {what} ({excerpt(name)}), which are not supported")
        if re.match(r"layers\.\d+\.2\.", name):
            raise ModelError(f"it has linear attention ({excerpt(name)}), which is not supported")


def _shape(shapes: Mapping[str, Shape], name: str, axes: int) -> Shape:
    if name not in shapes:
        raise ModelError(f"the checkpoint lacks the weight {name}")
    shape = tuple(shapes[name])
    if len(shape) != axes or max(shape) > _WIDEST:
        raise ModelError(f"the checkpoint's weight {name} has shape {shape}, not supported")
    return shape


def _count(shapes: Mapping[str, Shape], pattern: str, step: int = 1) -> int:
    count = 0
    while pattern.format(count * step) in shapes:
        count += 1
        if count > _MOST:
            raise ModelError(f"it has more than {_MOST} of {pattern.format('*')}")
    return count
