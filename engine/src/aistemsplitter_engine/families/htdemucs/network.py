"""HTDemucs (Rouard, Massa, Défossez 2022), written once for every runtime.

Two branches, one over the spectrogram and one over the waveform, go down an encoder, meet in a
transformer of self and cross attention, and come up a decoder with skip connections. Both are
images here, (batch, channels, frequencies, frames) and (batch, channels, 1, samples), so that one
layer serves both: the spectrogram is strided over its height, the waveform over its width.
"""

from __future__ import annotations

from typing import Any

from aistemsplitter_engine.families.htdemucs.config import Configuration
from aistemsplitter_engine.families.htdemucs.parameters import (
    Block,
    Gate,
    Layer,
    Norm,
    Parameters,
    Residual,
)
from aistemsplitter_engine.families.ops import Ops, Pair

_EPSILON = 1e-5  # of every norm


def htdemucs(
    ops: Ops[Any], config: Configuration, parameters: Parameters, spectrogram: Any, waveform: Any
) -> tuple[Any, Any]:
    """Estimate every source of standardized segments.

    ``spectrogram`` is (batch, channels, frames, 2 * bins), each bin's real part and then its
    imaginary part; ``waveform`` is (batch, channels, 1, samples), padded with zeros to a multiple
    of the stride. The results have the same shapes, without the padding, and channels times the
    number of sources, sources outermost. The estimate is the inverse transform of the first plus
    the second, each scaled back by its mean and standard deviation.
    """
    geometries = _Geometry(config, time=False), _Geometry(config, time=True)
    branches = parameters.spectrogram, parameters.waveform

    images = spectrogram, waveform
    x = [_space_to_depth(ops, g, image) for g, image in zip(geometries, images, strict=True)]
    skips: list[list[Any]] = [[], []]
    for index in range(config.depth):
        for b, (branch, geometry) in enumerate(zip(branches, geometries, strict=True)):
            x[b] = _encode(ops, config, branch.encoder[index], geometry, index, x[b])
            if b == 0 and index == 0 and parameters.frequency_embedding is not None:
                x[b] = ops.add(x[b], parameters.frequency_embedding)
            skips[b].append(x[b])
    if config.t_layers:
        x = list(_transform(ops, config, parameters, x[0], x[1]))
    for index in reversed(range(config.depth)):
        for b, (branch, geometry) in enumerate(zip(branches, geometries, strict=True)):
            layer = branch.decoder[config.depth - 1 - index]
            x[b] = _decode(ops, config, layer, geometry, index, ops.add(x[b], skips[b].pop()))
    return x[0], x[1]


class _Geometry:
    """Strides, paddings and crops of one branch's convolutions."""

    def __init__(self, config: Configuration, time: bool) -> None:
        self.time, self.lengths = time, config.waveform_lengths
        self.stride: Pair = (1, config.stride) if time else (config.stride, 1)
        self.kernel, self.step = config.kernel_size, config.stride
        self.block = self.step * (1 if time else 2)  # a bin has two parts
        self.edge = config.kernel_size // 4
        # Padding of the outermost convolutions, after space-to-depth.
        self.around: tuple[Pair, Pair] = ((0, 0), (1, 1)) if time else ((1, 1), (0, 0))

    def fill(self, index: int) -> int:
        """Return how many samples pad the waveform to the stride before encoder layer ``index``."""
        return -self.lengths[index] % self.step

    def down(self, index: int) -> tuple[Pair, Pair]:
        """Return the padding of encoder layer ``index``, with that of waveforms to the stride."""
        if not self.time:
            return (self.edge, self.edge), (0, 0)
        return (0, 0), (self.edge, self.edge + self.fill(index))

    def up(self, index: int) -> tuple[Pair, Pair]:
        """Return the crop of the transposed convolution that undoes encoder layer ``index``."""
        if not self.time:
            return (self.edge, self.edge), (0, 0)
        full = (self.lengths[index + 1] - 1) * self.step + self.kernel
        return (0, 0), (self.edge, full - self.edge - self.lengths[index])

    def context(self, reach: int) -> tuple[Pair, Pair]:
        """Return the padding of a rewrite convolution with ``reach`` taps on each side."""
        return ((0, 0) if self.time else (reach, reach)), (reach, reach)


def _encode(
    ops: Ops[Any], config: Configuration, layer: Layer, geometry: _Geometry, index: int, x: Any
) -> Any:
    if index == 0:  # after space-to-depth
        x = ops.conv(x, layer.conv.weight, layer.conv.bias, padding=geometry.around)
    else:
        x = ops.conv(
            x,
            layer.conv.weight,
            layer.conv.bias,
            stride=geometry.stride,
            padding=geometry.down(index),
        )
    x = ops.gelu(_group_norm(ops, layer.norm, x))
    for residual in layer.residuals:
        x = _residual(ops, residual, x)
    return _gated(ops, layer.rewrite, x, geometry.context(config.context_enc))


def _decode(
    ops: Ops[Any], config: Configuration, layer: Layer, geometry: _Geometry, index: int, x: Any
) -> Any:
    x = _gated(ops, layer.rewrite, x, geometry.context(config.context))
    for residual in layer.residuals:
        x = _residual(ops, residual, x)
    crop = geometry.up(index)
    if index == 0 and layer.norm is None:
        x = ops.conv(x, layer.conv.weight, layer.conv.bias, padding=geometry.around)
        x = _depth_to_space(ops, geometry, ops.result(x))
        return ops.crop(x, ((0, 0), (0, geometry.fill(0)))) if geometry.time else x
    if layer.norm is None:
        x = ops.conv_transpose(x, layer.conv.weight, layer.conv.bias, geometry.stride, crop)
    else:  # which covers the cropped edges, too
        whole = (0, 0), (0, 0)
        x = ops.conv_transpose(x, layer.conv.weight, layer.conv.bias, geometry.stride, whole)
        x = ops.crop(_group_norm(ops, layer.norm, x), crop)
    if index == 0:
        return x if geometry.time else _interleaved(ops, x)
    return ops.gelu(x)


def _space_to_depth(ops: Ops[Any], geometry: _Geometry, x: Any) -> Any:
    """Move each stride of the last axis into channels (channel, sample of the stride).

    A spectrogram (batch, channels, frames, 2 * bins) becomes an image of bins / stride times
    frames, a waveform (batch, channels, 1, samples) one of 1 times samples / stride.
    """
    channels = ops.shape(x)[1]
    x = ops.reshape(x, (0, 0, 0, -1, geometry.block))
    x = ops.transpose(x, (0, 2, 3, 1, 4) if geometry.time else (0, 3, 2, 1, 4))
    return ops.transpose(ops.reshape(x, (0, 0, 0, channels * geometry.block)), (0, 3, 1, 2))


def _depth_to_space(ops: Ops[Any], geometry: _Geometry, x: Any) -> Any:
    """Undo :func:`_space_to_depth`."""
    _, channels, height, width = ops.shape(x)
    rows, columns = (height, width) if geometry.time else (width, height)
    x = ops.transpose(x, (0, 2, 3, 1))
    x = ops.reshape(x, (0, 0, 0, channels // geometry.block, geometry.block))
    x = ops.transpose(x, (0, 3, 1, 2, 4) if geometry.time else (0, 3, 2, 1, 4))
    return ops.reshape(x, (0, 0, rows, columns * geometry.block))


def _interleaved(ops: Ops[Any], x: Any) -> Any:
    """Turn an image (bins, frames) with two channels for each bin into (frames, 2 * bins)."""
    _, _, bins, frames = ops.shape(x)
    x = ops.transpose(ops.reshape(x, (0, -1, 2, bins, frames)), (0, 1, 4, 3, 2))
    return ops.reshape(x, (0, 0, 0, -1))


def _gated(ops: Ops[Any], gate: Gate, x: Any, padding: tuple[Pair, Pair]) -> Any:
    value = ops.conv(x, gate.value.weight, gate.value.bias, padding=padding)
    opening = ops.conv(x, gate.gate.weight, gate.gate.bias, padding=padding)
    if gate.norm is not None:  # its groups may span both halves
        both = _group_norm(ops, gate.norm, ops.concat([value, opening], 1))
        half = gate.value.bias.shape[0]
        value, opening = ops.channels(both, 0, half), ops.channels(both, half, 2 * half)
    return ops.multiply(value, ops.sigmoid(opening))


def _group_norm(ops: Ops[Any], norm: Norm | None, x: Any) -> Any:
    if norm is None:
        return x
    _, _, height, width = ops.shape(x)
    grouped = ops.standardize(ops.reshape(x, (0, norm.groups, -1)), (2,), _EPSILON)
    x = ops.reshape(grouped, (0, -1, height, width))
    return ops.add(ops.multiply(x, norm.scale), norm.bias)


def _residual(ops: Ops[Any], layer: Residual, x: Any) -> Any:
    """One layer of a DConv branch: each row (frequency) is its own sequence over the width."""
    dilation = layer.dilation
    h = ops.conv(
        x,
        layer.squeeze.weight,
        layer.squeeze.bias,
        padding=((0, 0), (dilation, dilation)),
        dilation=(1, dilation),
    )
    h = ops.standardize(h, (1, 3), _EPSILON)
    h = ops.gelu(ops.add(ops.multiply(h, layer.norm_scale), layer.norm_bias))
    return ops.add(x, _expand(ops, layer, h))


def _expand(ops: Ops[Any], layer: Residual, h: Any) -> Any:
    """Project h to 2C channels, normalize each row and apply the GLU, without the 2C tensor.

    With y = W h + b, the norm is r (y - m) with a mean m and a factor r for each row. Both follow
    from h alone, which is sixteen times smaller: ``statistics`` projects h to a few channels whose
    squares sum to the mean square of y; the first is y's mean over channels. Then
    r (W h + b - m) = [W b -1] [r h; r; r m], a projection of h with two more channels.
    """
    statistics = ops.conv(h, layer.statistics.weight, layer.statistics.bias)
    mean = ops.mean(ops.channels(statistics, 0, 1), (3,))
    square = ops.mean(ops.multiply(statistics, statistics), (1, 3))
    square = ops.multiply(square, layer.statistics.bias.shape[0])
    factor = ops.rsqrt(ops.add(ops.subtract(square, ops.multiply(mean, mean)), _EPSILON))
    rows = ops.concat([factor, ops.multiply(factor, mean)], 1)
    h = ops.concat([ops.multiply(h, factor), ops.expand(rows, ops.shape(h)[3])], 1)
    value = ops.conv(h, layer.expand.value.weight, layer.expand.value.bias)
    gate = ops.conv(h, layer.expand.gate.weight, layer.expand.gate.bias)
    return ops.multiply(value, ops.sigmoid(gate))


def _transform(
    ops: Ops[Any], config: Configuration, parameters: Parameters, x: Any, t: Any
) -> tuple[Any, Any]:
    """Apply the transformer: self and cross attention over tokens (batch, positions, width)."""
    branches = parameters.spectrogram, parameters.waveform
    shapes = (config.bottom_bins, config.spectrogram_frames), (1, config.waveform_lengths[-1])
    tokens = []
    for branch, image in zip(branches, (x, t), strict=True):
        places = ops.transpose(ops.reshape(image, (0, 0, -1)), (0, 2, 1))
        if branch.upsample is not None:
            places = ops.linear(places, branch.upsample.weight, branch.upsample.bias)
        places = ops.multiply(ops.standardize(places, (2,), _EPSILON), branch.norm_scale)
        tokens.append(ops.add(places, branch.positions))
    for own, other in zip(branches[0].blocks, branches[1].blocks, strict=True):
        a, b = tokens
        tokens = [_block(ops, config, own, a, b), _block(ops, config, other, b, a)]
    images = []
    for branch, places, (height, width) in zip(branches, tokens, shapes, strict=True):
        if branch.downsample is not None:
            places = ops.linear(places, branch.downsample.weight, branch.downsample.bias)
        images.append(ops.reshape(ops.transpose(places, (0, 2, 1)), (0, 0, height, width)))
    return images[0], images[1]


def _block(ops: Ops[Any], config: Configuration, block: Block, x: Any, other: Any) -> Any:
    maps = block.attention
    queries = ops.standardize(x, (2,), _EPSILON)
    keys = ops.standardize(other, (2,), _EPSILON) if block.cross else queries
    attended = ops.attention(
        ops.linear(queries, maps.query.weight, maps.query.bias),
        ops.linear(keys, maps.key.weight, maps.key.bias),
        ops.linear(keys, maps.value.weight, maps.value.bias),
        config.t_heads,
    )
    x = ops.add(x, ops.linear(attended, maps.out.weight, maps.out.bias))
    h = ops.linear(ops.standardize(x, (2,), _EPSILON), block.up.weight, block.up.bias)
    h = ops.gelu(h) if config.t_gelu else ops.relu(h)
    x = ops.add(x, ops.linear(h, block.down.weight, block.down.bias))
    x = ops.standardize(x, (1, 2), _EPSILON)
    return ops.add(ops.multiply(x, block.out_scale), block.out_bias)
