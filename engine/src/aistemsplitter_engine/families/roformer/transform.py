"""The transform of a segment's samples to the network's features, and of its masks to samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.families.base import ParallelMap
from aistemsplitter_engine.families.roformer import stft
from aistemsplitter_engine.families.roformer.config import CHANNELS, NUMBERS, Configuration

ComplexArray = NDArray[np.complex64]
SMALLEST = 1e-12  # norm of a band, without the orthonormal scale
_RUN = 32  # frames that are transformed at once, few enough for the processor's cache


def analyse(
    config: Configuration, segment: FloatArray, each: ParallelMap = map
) -> tuple[FloatArray, ComplexArray]:
    """Return the features (1, frames, numbers) and the spectrum (frames, bins, channels).

    ``each`` maps a function over runs of frames, as an executor's ``map`` does in parallel.
    """
    nfft, hop = config.settings.nfft, config.settings.hop
    edge = nfft // 2
    padded = np.pad(segment, ((0, 0), (edge, edge)), mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, nfft, 1)[:, ::hop]
    features = np.empty((1, config.frames, config.numbers), np.float32)
    spectrum = np.empty((config.frames, config.bins, CHANNELS), np.complex64)

    def transform(start: int) -> None:
        run = slice(start, start + _RUN)
        windowed = frames[:, run] * stft.window(nfft)
        transformed = np.fft.rfft(windowed, axis=2, norm="ortho")
        spectrum[run] = np.moveaxis(transformed, 0, 2)
        numbers = spectrum[run].view(np.float32).reshape(-1, NUMBERS * config.bins)
        _normalize(config, numbers, features[0, run])

    for _ in each(transform, range(0, config.frames, _RUN)):
        pass
    return features, spectrum


def synthesize(
    config: Configuration,
    masks: tuple[FloatArray, ...],
    spectrum: ComplexArray,
    sources: tuple[int, ...],
    estimates: FloatArray,
    each: ParallelMap = map,
) -> None:
    """Write the samples of masked spectra into ``estimates`` (sources, channels, samples)."""
    settings = config.settings
    nfft, hop, edge = settings.nfft, settings.hop, settings.nfft // 2
    samples = settings.segment_frames
    gain = stft.gain(nfft, hop, config.frames, samples)

    def transform(estimate: FloatArray, source: int) -> None:
        signal = np.zeros((CHANNELS, stft.length(nfft, hop, config.frames)), np.float32)
        for start in range(0, config.frames, _RUN):
            run = slice(start, start + _RUN)
            masked = _whole_mask(config, masks[source][0, run]) * spectrum[run]
            if settings.zero_dc:
                masked[:, 0] = 0
            pieces = np.fft.irfft(masked, nfft, axis=1, norm="ortho")
            pieces *= stft.window(nfft)[:, None]
            part = signal[:, start * hop :]
            stft.overlap_add(part, np.moveaxis(pieces, 2, 0), hop)
        np.multiply(signal[:, edge : edge + samples], gain, out=estimate)

    for _ in each(transform, estimates, sources):  # not at once, to save memory
        pass


def _normalize(config: Configuration, numbers: FloatArray, features: FloatArray) -> None:
    """Write the bands of frames, each divided by its norm, into the features."""
    smallest, place = np.float32(SMALLEST / config.settings.nfft**0.5), 0
    for start, stop in config.bands:
        band = numbers[:, NUMBERS * start : NUMBERS * stop]
        norm = np.sqrt(np.vecdot(band, band))
        size = band.shape[1]
        np.divide(band, np.maximum(norm, smallest)[:, None], out=features[:, place : place + size])
        place += size


def _whole_mask(config: Configuration, mask: FloatArray) -> ComplexArray:
    """Return the masks (frames, numbers) of all bands as one (frames, bins, channels)."""
    if config.sizes.mel:
        whole, place = np.zeros((len(mask), NUMBERS * config.bins), np.float32), 0
        for start, stop in config.bands:
            size = NUMBERS * (stop - start)
            whole[:, NUMBERS * start : NUMBERS * stop] += mask[:, place : place + size]
            place += size
        mask = whole
    result: ComplexArray = np.ascontiguousarray(mask).view(np.complex64)
    return result.reshape(len(mask), config.bins, CHANNELS)
