"""The transform of a segment's samples to the network's inputs, and of its outputs to samples.

The short-time Fourier transform is Demucs': 4096 samples every 1024, periodic Hann window,
orthonormal scale, reflection padding, without the highest bin and two frames at each end.
Spectrogram and waveform are each standardized over the segment.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.base import ParallelMap
from aistemsplitter_engine.families.htdemucs.config import Configuration

ComplexArray = NDArray[np.complex64]
_EPSILON = 1e-5
_RUN = 32  # frames that are transformed at once, few enough for the processor's cache
_ROW = 1024  # numbers that are summed in float32


@dataclass(frozen=True, slots=True)
class Scale:
    """The mean and standard deviation of an input, to scale the estimates back."""

    mean: np.float32
    std: np.float32


@dataclass(frozen=True, slots=True)
class Inputs:
    """The network's inputs for one segment, see :func:`network.htdemucs`."""

    spectrogram: FloatArray  # (1, channels, frames, 2 * bins), real and imaginary parts
    waveform: FloatArray  # (1, channels, 1, samples padded to a multiple of the stride)
    spectrogram_scale: Scale
    waveform_scale: Scale


def analyse(config: Configuration, segment: FloatArray, each: ParallelMap = map) -> Inputs:
    """Transform a segment (channels, samples) of the configuration's length.

    ``each`` maps a function over the channels, as an executor's ``map`` does in parallel.
    """
    channels, samples = segment.shape
    hop, frames = config.hop, config.spectrogram_frames
    edge = hop // 2 * 3
    padded = np.pad(segment, ((0, 0), (edge, edge + frames * hop - samples)), mode="reflect")
    image = np.empty((channels, frames, config.bins), np.complex64)

    def transform(channel: int) -> None:
        windows = np.lib.stride_tricks.sliding_window_view(padded[channel], config.nfft)[::hop]
        for start in range(0, frames, _RUN):
            run = slice(start, start + _RUN)
            # Without a norm NumPy would transform in float64, which takes three times as long.
            spectrum = np.fft.rfft(windows[run] * _window(config.nfft), axis=1, norm="ortho")
            image[channel, run] = spectrum[:, : config.bins]

    for _ in each(transform, range(channels)):
        pass
    spectrogram = image.view(np.float32)
    spectrogram_scale = _standardize(spectrogram, each)
    waveform = np.zeros((1, channels, 1, config.filled_frames), np.float32)
    waveform[0, :, 0, :samples] = segment
    waveform_scale = _standardize(waveform[0, :, 0, :samples], each)
    return Inputs(
        spectrogram=spectrogram[None],
        waveform=waveform,
        spectrogram_scale=spectrogram_scale,
        waveform_scale=waveform_scale,
    )


def synthesize(
    config: Configuration,
    inputs: Inputs,
    spectrogram: FloatArray,
    waveform: FloatArray,
    sources: tuple[int, ...],
    estimates: FloatArray,
    each: ParallelMap = map,
) -> None:
    """Write the samples of the network's outputs for one segment into ``estimates``.

    ``estimates`` is (sources, channels, samples). Only ``sources``, given by index, are computed;
    ``each`` maps over them.
    """
    shape = (len(config.sources), config.audio_channels)
    images = spectrogram.view(np.complex64).reshape(*shape, config.spectrogram_frames, -1)
    waves = waveform.reshape(*shape, config.segment_frames)
    scale = inputs.waveform_scale

    def transform(estimate: FloatArray, source: int) -> None:
        np.multiply(waves[source], scale.std, out=estimate)
        estimate += scale.mean
        estimate += _invert(config, images[source], inputs.spectrogram_scale.std)
        estimate += _of_ones(config) * inputs.spectrogram_scale.mean

    for _ in each(transform, estimates, sources):  # not at once, to save memory
        pass


def _invert(config: Configuration, image: ComplexArray, scale: np.float32) -> FloatArray:
    """Turn a spectrogram (channels, frames, bins) into samples (channels, samples), scaled."""
    hop, bins, frames, channels = config.hop, config.bins, config.spectrogram_frames, len(image)
    overlap = config.nfft // hop
    # Four windows overlap everywhere, with two frames of silence assumed at each end. The squares
    # of periodic Hann windows, a quarter of their length apart, sum to 3/2.
    window = _window(config.nfft) * (scale / np.float32(1.5))
    spectrum = np.zeros((channels, _RUN, bins + 1), np.complex64)
    signal = np.zeros((channels, frames + overlap - 1, hop), np.float32)
    for start in range(0, frames, _RUN):
        count = min(_RUN, frames - start)
        spectrum[:, :count, :bins] = image[:, start : start + count]
        pieces = np.fft.irfft(spectrum[:, :count], axis=2, norm="ortho")
        pieces *= window

        # Overlap-add: a frame is nfft / hop pieces of one hop, each for the next hop.
        pieces = pieces.reshape(channels, count, overlap, hop)
        for piece in range(overlap):
            place = start + piece
            signal[:, place : place + count] += pieces[:, :, piece]
    edge = hop // 2 * 3
    return signal.reshape(channels, -1)[:, edge : edge + config.segment_frames]


@lru_cache(maxsize=4)
def _of_ones(config: Configuration) -> FloatArray:
    """Return the samples (1, samples) of a spectrogram of which every part is 1."""
    shape = 1, config.spectrogram_frames, config.bins
    return _invert(config, np.full(shape, 1 + 1j, np.complex64), np.float32(1))


def _standardize(x: FloatArray, each: ParallelMap) -> Scale:
    """Standardize x in place and return its scale; ``each`` maps over its first axis."""
    means = each(lambda part: part.mean(dtype=np.float64), x)
    mean = np.float32(sum(means) / len(x))

    def centre(part: FloatArray) -> float:
        part -= mean
        return _energy(part.reshape(-1))

    std = np.float32(np.sqrt(sum(each(centre, x)) / (x.size - 1)))

    def scale(part: FloatArray) -> None:
        part /= std + np.float32(_EPSILON)

    for _ in each(scale, x):
        pass
    return Scale(mean, std)


def _energy(x: FloatArray) -> float:
    """Return the sum of squares: short rows by BLAS in float32, their sums in float64."""
    whole = len(x) // _ROW * _ROW
    rows, rest = x[:whole].reshape(-1, _ROW), x[whole:]
    return float(np.vecdot(rows, rows).sum(dtype=np.float64) + np.vecdot(rest, rest))


@lru_cache(maxsize=4)
def _window(length: int) -> FloatArray:
    """Return the periodic Hann window."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)
    result: FloatArray = window.astype(np.float32)
    return result
