"""A checkpoint's weights, rearranged once so that the network computes less.

* Scales before or after a linear layer (layer scale, the affine part of a norm, 1/sqrt(d) of
  attention) are multiplied into that layer.
* A gated linear unit becomes two projections of half the width, so that nothing has to be split.
* The first convolution, and the last, transposed one, become convolutions of three taps after a
  space-to-depth by the stride. So none is strided where the images are largest, and in bf16 all of
  them are computed in bf16.
* A residual branch gets a small projection, from which :func:`network.htdemucs._expand` computes
  the mean and standard deviation of its largest tensor without computing that tensor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.layers import Linear, Weights


@dataclass(frozen=True, slots=True)
class Norm:
    """The affine part of a group norm over ``groups`` groups of channels."""

    groups: int
    scale: Any
    bias: Any


@dataclass(frozen=True, slots=True)
class Gate:
    """A gated linear unit: value * sigmoid(gate), after ``norm`` over both, if there is one."""

    value: Linear
    gate: Linear
    norm: Norm | None = None


@dataclass(frozen=True, slots=True)
class Residual:
    """One layer of a DConv branch, rearranged for :func:`network.htdemucs._expand`."""

    squeeze: Linear
    norm_scale: Any
    norm_bias: Any
    statistics: Linear
    expand: Gate
    dilation: int


@dataclass(frozen=True, slots=True)
class Layer:
    """One layer of an encoder or decoder of one branch."""

    conv: Linear
    norm: Norm | None
    residuals: tuple[Residual, ...]
    rewrite: Gate


@dataclass(frozen=True, slots=True)
class Attention:
    """Projections to query, key and value, with the preceding norms folded in, and the output's."""

    query: Linear
    key: Linear
    value: Linear
    out: Linear


@dataclass(frozen=True, slots=True)
class Block:
    """One layer of the transformer in one branch."""

    attention: Attention
    cross: bool
    up: Linear
    down: Linear
    out_scale: Any
    out_bias: Any


@dataclass(frozen=True, slots=True)
class Branch:
    """All weights of one branch; those of the transformer are None in a network without one."""

    encoder: tuple[Layer, ...]
    decoder: tuple[Layer, ...]
    upsample: Linear | None
    downsample: Linear | None
    norm_scale: Any
    positions: Any
    blocks: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class Parameters:
    """The network's weights, ready for :func:`htdemucs`."""

    spectrogram: Branch
    waveform: Branch
    frequency_embedding: Any


def prepare(config: Configuration, weights: Weights, xp: Any = np) -> Parameters:
    """Rearrange float32 ``weights`` by official names; ``xp`` is their module, NumPy or torch."""
    return _Preparation(config, weights, xp).parameters()


class _Preparation:
    def __init__(self, config: Configuration, weights: Weights, xp: Any) -> None:
        self.config, self.weights, self.xp = config, weights, xp

    def parameters(self) -> Parameters:
        embedding = None
        if self.config.freq_emb:
            table = self.weights["freq_emb.embedding.weight"]
            embedding = table.T[None, :, :, None] * (self.config.freq_emb * self.config.emb_scale)
        return Parameters(self._branch(""), self._branch("t"), embedding)

    def _branch(self, prefix: str) -> Branch:
        config, time = self.config, prefix == "t"
        depth, suffix = config.depth, "_t" if time else ""
        upsample = downsample = scale = positions = None
        if config.bottom_channels:
            upsample = self._pointwise(f"channel_upsampler{suffix}")
            downsample = self._pointwise(f"channel_downsampler{suffix}")
        if config.t_layers:
            scale = self.weights[f"crosstransformer.norm_in{suffix}.weight"]
            table = _positions_1d(config) if time else _positions_2d(config)
            table = self._like(table * config.t_weight_pos_embed, scale)
            positions = table + self.weights[f"crosstransformer.norm_in{suffix}.bias"]
        return Branch(
            encoder=tuple(self._encoder(f"{prefix}encoder.{i}", i, time) for i in range(depth)),
            decoder=tuple(
                self._decoder(f"{prefix}decoder.{i}", depth - 1 - i, time) for i in range(depth)
            ),
            upsample=upsample,
            downsample=downsample,
            norm_scale=scale,
            positions=positions,
            blocks=tuple(
                self._block(f"crosstransformer.layers{suffix}.{i}", i)
                for i in range(config.t_layers)
            ),
        )

    def _encoder(self, name: str, index: int, time: bool) -> Layer:
        normed = index >= self.config.norm_starts
        conv = self._conv(f"{name}.conv", time)
        return Layer(
            conv=conv if index else self._space_to_depth(conv, time),
            norm=self._norm(f"{name}.norm1") if normed else None,
            residuals=self._residuals(name) if self.config.dconv_mode & 1 else (),
            rewrite=self._gate(name, "norm2" if normed else None, time),
        )

    def _decoder(self, name: str, index: int, time: bool) -> Layer:
        normed = index >= self.config.norm_starts
        conv = self._conv(f"{name}.conv_tr", time)
        return Layer(
            conv=conv if index or normed else self._depth_to_space(conv, time),
            norm=self._norm(f"{name}.norm2") if normed else None,
            residuals=self._residuals(name) if self.config.dconv_mode & 2 else (),
            rewrite=self._gate(name, "norm1" if normed else None, time),
        )

    def _conv(self, name: str, time: bool) -> Linear:
        weight = self.weights[f"{name}.weight"]
        return Linear(weight[:, :, None] if time else weight, self.weights[f"{name}.bias"])

    def _space_to_depth(self, conv: Linear, time: bool) -> Linear:
        """Rearrange a strided convolution for an input after space-to-depth.

        Its channels are (channel, sample of the stride) or, in a spectrogram, (channel, bin of the
        stride, real or imaginary part).
        """
        taps = self.xp.moveaxis(self._taps(conv, time), 4, 2)  # (out, in, sample, part, tap)
        taps = taps.reshape(taps.shape[0], -1, 3)
        return Linear(taps[:, :, None] if time else taps[..., None], conv.bias)

    def _depth_to_space(self, conv: Linear, time: bool) -> Linear:
        """Rearrange a transposed convolution for an output before depth-to-space, likewise."""
        taps = self.xp.flip(self._taps(conv, time), (3,))
        taps = self.xp.moveaxis(taps, (1, 4, 2), (0, 1, 2))  # (out, sample, part, in, tap)
        bias = conv.bias.reshape(-1, 1, taps.shape[2])
        bias = self.xp.concat([bias] * self.config.stride, axis=1).reshape(-1)
        taps = taps.reshape(-1, *taps.shape[3:])
        return Linear(taps[:, :, None] if time else taps[..., None], bias)

    def _taps(self, conv: Linear, time: bool) -> Any:
        """Cut a kernel of twice the stride into three taps of one stride each.

        The kernel begins half a stride before the middle tap, so half of each outer tap is 0. The
        result is (first axis of the weight, channel, part, tap, sample); a spectrogram has 2 parts.
        """
        kernel = conv.weight[:, :, 0] if time else conv.weight[..., 0]
        none = self.xp.zeros_like(kernel[:, :, : self.config.stride // 2])
        taps = self.xp.concat([none, kernel, none], axis=2)
        return taps.reshape(kernel.shape[0], -1, 1 if time else 2, 3, self.config.stride)

    def _pointwise(self, name: str) -> Linear:
        return Linear(self.weights[f"{name}.weight"][:, :, 0], self.weights[f"{name}.bias"])

    def _norm(self, name: str) -> Norm:
        scale, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return Norm(self.config.norm_groups, scale.reshape(1, -1, 1, 1), bias.reshape(1, -1, 1, 1))

    def _gate(self, layer: str, norm: str | None, time: bool) -> Gate:
        both = self._conv(f"{layer}.rewrite", time)
        half = both.bias.shape[0] // 2
        return Gate(
            value=Linear(both.weight[:half], both.bias[:half]),
            gate=Linear(both.weight[half:], both.bias[half:]),
            norm=self._norm(f"{layer}.{norm}") if norm else None,
        )

    def _residuals(self, layer: str) -> tuple[Residual, ...]:
        depth = self.config.dconv_depth
        return tuple(
            self._residual(f"{layer}.dconv.layers.{i}", 2**i if depth > 0 else 1)
            for i in range(abs(depth))
        )

    def _residual(self, name: str, dilation: int) -> Residual:
        get = {key: self.weights[f"{name}.{key}"] for key in (
            "0.weight", "0.bias", "1.weight", "1.bias", "3.weight", "3.bias", "4.weight", "4.bias",
            "6.scale",
        )}  # fmt: skip
        weight, bias = get["3.weight"][:, :, 0], get["3.bias"]
        scale, shift = get["4.weight"], get["4.bias"]
        channels = bias.shape[0] // 2

        # Columns for r·h, r and r·mean: see _expand.
        columns = self.xp.concat([weight, bias[:, None], -self.xp.ones_like(bias)[:, None]], axis=1)
        columns = columns * scale[:, None]
        layer_scale = get["6.scale"]
        return Residual(
            squeeze=Linear(get["0.weight"][:, :, None], get["0.bias"]),
            norm_scale=get["1.weight"].reshape(1, -1, 1, 1),
            norm_bias=get["1.bias"].reshape(1, -1, 1, 1),
            statistics=self._statistics(weight, bias),
            expand=Gate(
                value=Linear(
                    (columns[:channels] * layer_scale[:, None])[:, :, None, None],
                    shift[:channels] * layer_scale,
                ),
                gate=Linear(columns[channels:, :, None, None], shift[channels:]),
            ),
            dilation=dilation,
        )

    def _statistics(self, weight: Any, bias: Any) -> Linear:
        """Return a projection of h whose squares sum to the mean square of ``weight h + bias``.

        Its first output is the mean over channels; the others are a root of the channels'
        covariance, so that no large numbers are subtracted from each other.
        """
        both = self.xp.concat([weight, bias[:, None]], axis=1)
        mean = both.mean(0)
        centred = both - mean
        values, vectors = self.xp.linalg.eigh(centred.T @ centred / bias.shape[0])
        root = vectors.T * (values * (values > 0))[:, None] ** 0.5
        rows = self.xp.concat([mean[None], root], axis=0)
        return Linear(rows[:, :-1, None, None], rows[:, -1])

    def _block(self, name: str, index: int) -> Block:
        cross = self.config.is_cross(index)
        norm1, norm2, norm3 = (f"{name}.norm{i}" for i in (1, 2, 3))
        up = self._after_norm(f"{name}.linear1", norm3 if cross else norm2)
        out_scale = self.weights[f"{name}.norm_out.weight"]
        return Block(
            attention=self._attention(name, norm1, norm2 if cross else norm1, cross),
            cross=cross,
            up=up,
            down=self._scaled(f"{name}.linear2", f"{name}.gamma_2"),
            out_scale=out_scale,
            out_bias=self.weights[f"{name}.norm_out.bias"],
        )

    def _attention(self, name: str, query_norm: str, key_norm: str, cross: bool) -> Attention:
        name_attention = f"{name}.{'cross' if cross else 'self'}_attn"
        weight = self.weights[f"{name_attention}.in_proj_weight"]
        bias = self.weights[f"{name_attention}.in_proj_bias"]
        width = weight.shape[1]
        scale = (width // self.config.t_heads) ** -0.5
        norms = (query_norm, key_norm, key_norm)
        query, key, value = (
            self._fold_norm(
                weight[i * width : (i + 1) * width], bias[i * width : (i + 1) * width], n
            )
            for i, n in enumerate(norms)
        )
        return Attention(
            query=Linear(query.weight * scale, query.bias * scale),
            key=key,
            value=value,
            out=self._scaled(f"{name_attention}.out_proj", f"{name}.gamma_1"),
        )

    def _after_norm(self, name: str, norm: str) -> Linear:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return self._fold_norm(weight, bias, norm)

    def _fold_norm(self, weight: Any, bias: Any, norm: str) -> Linear:
        scale, shift = self.weights[f"{norm}.weight"], self.weights[f"{norm}.bias"]
        return Linear(weight * scale[None], bias + weight @ shift)

    def _scaled(self, name: str, gamma: str) -> Linear:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        if not self.config.t_layer_scale:
            return Linear(weight, bias)
        scale = self.weights[f"{gamma}.scale"]
        return Linear(weight * scale[:, None], bias * scale)

    def _like(self, array: NDArray[np.float32], other: Any) -> Any:
        if self.xp is np:
            return array
        return self.xp.asarray(array, dtype=other.dtype, device=other.device)


def _positions_1d(config: Configuration) -> NDArray[np.float32]:
    """Sinusoidal embedding of the waveform's tokens, (1, tokens, width)."""
    half = config.transformer_width // 2
    position = np.arange(config.waveform_lengths[-1], dtype=np.float64)[:, None]
    phase = position / config.t_max_period ** (np.arange(half) / (half - 1))
    return np.concatenate([np.cos(phase), np.sin(phase)], axis=1)[None].astype(np.float32)


def _positions_2d(config: Configuration) -> NDArray[np.float32]:
    """Sinusoidal embedding of the spectrogram's tokens, (1, frequencies * frames, width)."""
    half = config.transformer_width // 2
    rate = np.exp(np.arange(0, half, 2) * -(math.log(config.t_max_period) / half))
    height, width = config.bottom_bins, config.spectrogram_frames
    table = np.zeros((height, width, 2 * half))
    across = np.arange(width)[None, :, None] * rate
    down = np.arange(height)[:, None, None] * rate
    table[:, :, 0:half:2], table[:, :, 1:half:2] = np.sin(across), np.cos(across)
    table[:, :, half::2], table[:, :, half + 1 :: 2] = np.sin(down), np.cos(down)
    return table.reshape(1, height * width, 2 * half).astype(np.float32)
