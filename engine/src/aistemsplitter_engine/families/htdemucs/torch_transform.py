"""The transform of ``transform.py`` on a PyTorch device, for batches of segments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from aistemsplitter_engine.families.htdemucs.config import Configuration

_EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of an input (batch, 1, 1, 1)."""

    mean: Tensor
    std: Tensor

    def restore(self, output: Tensor) -> Tensor:
        """Scale an output back."""
        return output * self.std + self.mean


class TorchTransform:
    """The transform of one configuration's segments on one device."""

    def __init__(self, config: Configuration, device: Any) -> None:
        self._config = config
        self._window = torch.hann_window(config.nfft).to(device)

    def analyse(self, segments: Tensor) -> tuple[Sequence[Tensor], tuple[Scale, Scale]]:
        """Return spectrogram and waveform, standardized, and their scales."""
        image, image_scale = _standardize(torch.view_as_real(self._spectrum(segments)).flatten(-2))
        waves, waves_scale = _standardize(segments[:, :, None])
        waves = F.pad(waves, (0, self._config.filled_frames - segments.shape[-1]))
        return (image, waves), (image_scale, waves_scale)

    def synthesize(self, outputs: Sequence[Tensor], scale: tuple[Scale, Scale]) -> Tensor:
        """Return the samples of spectrogram and waveform."""
        image, waves = (s.restore(output) for s, output in zip(scale, outputs, strict=True))
        shape = (len(image), len(self._config.sources), self._config.audio_channels)
        spectrum = torch.view_as_complex(image.unflatten(-1, (-1, 2)).contiguous())
        return self._samples(spectrum.unflatten(1, shape[1:])) + waves.view(*shape, -1)

    def _spectrum(self, segments: Tensor) -> Tensor:
        """Return the spectrum (batch, channels, frames, bins)."""
        config, samples = self._config, segments.shape[-1]
        edge = config.hop // 2 * 3
        fill = config.spectrogram_frames * config.hop - samples
        padded = F.pad(segments, (edge, edge + fill), mode="reflect")
        windows = padded.unfold(-1, config.nfft, config.hop) * self._window
        return torch.fft.rfft(windows, norm="ortho")[..., : config.bins]

    def _samples(self, spectrum: Tensor) -> Tensor:
        """Return the samples of a spectrum (..., frames, bins)."""
        config = self._config
        overlap, edge = config.nfft // config.hop, config.hop // 2 * 3
        pieces = torch.fft.irfft(F.pad(spectrum, (0, 1)), norm="ortho") * self._window
        pieces = pieces.unflatten(-1, (overlap, config.hop))
        signal = pieces.new_zeros(
            *pieces.shape[:-3], config.spectrogram_frames + overlap - 1, config.hop
        )
        for piece in range(overlap):
            signal[..., piece : piece + config.spectrogram_frames, :] += pieces[..., piece, :]
        return signal.flatten(-2)[..., edge : edge + config.segment_frames] / 1.5


def _standardize(x: Tensor) -> tuple[Tensor, Scale]:
    std, mean = torch.std_mean(x, (1, 2, 3), keepdim=True)
    return (x - mean) / (std + _EPSILON), Scale(mean, std)
