"""The shapes of all weights of a configuration, which a checkpoint must have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.families.htdemucs.config import Configuration

Shape = tuple[int, ...]


def check_weights(config: Configuration, tensors: Mapping[str, Any]) -> None:
    """Raise :class:`ModelError`, naming the first weight that is missing or of another shape."""
    for name, shape in weight_shapes(config):
        if name not in tensors:
            raise ModelError(f"the checkpoint lacks the weight {name}")
        found = tuple(tensors[name].shape)
        if found != shape:
            raise ModelError(f"the checkpoint's weight {name} has shape {found}, expected {shape}")


def weight_shapes(config: Configuration) -> Iterator[tuple[str, Shape]]:
    """Yield the name, as in the official checkpoints, and the shape of every weight."""
    for prefix in ("", "t"):
        yield from _branch(config, prefix)
    if config.freq_emb:
        yield "freq_emb.embedding.weight", (config.bins // config.stride, config.channels)


def _branch(config: Configuration, prefix: str) -> Iterator[tuple[str, Shape]]:
    time, suffix = prefix == "t", "_t" if prefix else ""
    width = config.channels_time if time and config.channels_time else config.channels
    kernel: Shape = (config.kernel_size,) if time else (config.kernel_size, 1)
    parts = config.audio_channels if time else 2 * config.audio_channels
    outer = parts
    for index in range(config.depth):
        normed = index >= config.norm_starts
        encoder = f"{prefix}encoder.{index}"
        decoder = f"{prefix}decoder.{config.depth - 1 - index}"
        yield from _weight_and_bias(f"{encoder}.conv", (width, outer, *kernel))
        yield from _gate(encoder, width, time, config.context_enc)
        if index == 0:
            outer = parts * len(config.sources)
        yield from _weight_and_bias(f"{decoder}.conv_tr", (width, outer, *kernel), outputs=outer)
        yield from _gate(decoder, width, time, config.context)
        if normed:
            yield from _weight_and_bias(f"{encoder}.norm1", (width,))
            yield from _weight_and_bias(f"{encoder}.norm2", (2 * width,))
            yield from _weight_and_bias(f"{decoder}.norm1", (2 * width,))
            yield from _weight_and_bias(f"{decoder}.norm2", (outer,))
        if config.dconv_mode & 1:
            yield from _residuals(config, encoder, width)
        if config.dconv_mode & 2:
            yield from _residuals(config, decoder, width)
        outer, width = width, int(width * config.growth)
    bottom, wide = outer, config.transformer_width
    if config.bottom_channels:
        yield from _weight_and_bias(f"channel_upsampler{suffix}", (wide, bottom, 1))
        yield from _weight_and_bias(f"channel_downsampler{suffix}", (bottom, wide, 1))
    if config.t_layers:
        yield from _weight_and_bias(f"crosstransformer.norm_in{suffix}", (wide,))
    for index in range(config.t_layers):
        yield from _block(config, f"crosstransformer.layers{suffix}.{index}", index, wide)


def _weight_and_bias(
    name: str, shape: Shape, outputs: int | None = None
) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", (shape[0] if outputs is None else outputs,)


def _gate(layer: str, width: int, time: bool, reach: int) -> Iterator[tuple[str, Shape]]:
    kernel = (1 + 2 * reach,) * (1 if time else 2)
    yield from _weight_and_bias(f"{layer}.rewrite", (2 * width, width, *kernel))


def _residuals(config: Configuration, layer: str, width: int) -> Iterator[tuple[str, Shape]]:
    hidden = int(width / config.dconv_comp)
    for index in range(abs(config.dconv_depth)):
        name = f"{layer}.dconv.layers.{index}"
        yield from _weight_and_bias(f"{name}.0", (hidden, width, 3))
        yield from _weight_and_bias(f"{name}.1", (hidden,))
        yield from _weight_and_bias(f"{name}.3", (2 * width, hidden, 1))
        yield from _weight_and_bias(f"{name}.4", (2 * width,))
        yield f"{name}.6.scale", (width,)


def _block(config: Configuration, name: str, index: int, width: int) -> Iterator[tuple[str, Shape]]:
    cross = config.is_cross(index)
    attention = f"{name}.{'cross' if cross else 'self'}_attn"
    hidden = int(width * config.t_hidden_scale)
    yield f"{attention}.in_proj_weight", (3 * width, width)
    yield f"{attention}.in_proj_bias", (3 * width,)
    yield from _weight_and_bias(f"{attention}.out_proj", (width, width))
    yield from _weight_and_bias(f"{name}.linear1", (hidden, width))
    yield from _weight_and_bias(f"{name}.linear2", (width, hidden))
    for norm in (
        ("norm1", "norm2", "norm3", "norm_out") if cross else ("norm1", "norm2", "norm_out")
    ):
        yield from _weight_and_bias(f"{name}.{norm}", (width,))
    if config.t_layer_scale:
        yield f"{name}.gamma_1.scale", (width,)
        yield f"{name}.gamma_2.scale", (width,)
