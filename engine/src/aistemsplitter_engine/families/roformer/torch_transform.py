"""The transform of ``transform.py`` on a PyTorch device, for batches of segments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from aistemsplitter_engine.families.roformer import stft
from aistemsplitter_engine.families.roformer.config import CHANNELS, NUMBERS, Configuration
from aistemsplitter_engine.families.roformer.transform import SMALLEST


class TorchTransform:
    """The transform of one configuration's segments on one device."""

    def __init__(self, config: Configuration, device: Any) -> None:
        self._config = config
        self._nfft, self._hop = config.settings.nfft, config.settings.hop
        self._window = torch.from_numpy(stft.window(self._nfft)).to(device)
        gain = stft.gain(self._nfft, self._hop, config.frames, config.settings.segment_frames)
        self._gain = torch.from_numpy(gain).to(device)

    def analyse(self, segments: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Return the features, and the spectra (batch, frames, bins, channels)."""
        edge = self._nfft // 2
        padded = F.pad(segments, (edge, edge), mode="reflect")
        windows = padded.unfold(-1, self._nfft, self._hop) * self._window
        spectra = torch.fft.rfft(windows, norm="ortho").permute(0, 2, 3, 1).contiguous()
        numbers = torch.view_as_real(spectra).flatten(-3)
        bands = [numbers[..., NUMBERS * a : NUMBERS * b] for a, b in self._config.bands]
        smallest = SMALLEST / self._nfft**0.5
        features = torch.cat([F.normalize(band, dim=-1, eps=smallest) for band in bands], -1)
        return (features,), spectra

    def synthesize(self, outputs: Sequence[Tensor], scale: Tensor) -> Tensor:
        """Return the samples of the spectra, masked for each source."""
        return torch.stack([self._samples(self._whole_mask(mask) * scale) for mask in outputs], 1)

    def _whole_mask(self, mask: Tensor) -> Tensor:
        config = self._config
        if config.sizes.mel:
            whole = mask.new_zeros(*mask.shape[:-1], NUMBERS * config.bins)
            sizes = [NUMBERS * bins for bins in config.sizes.bands]
            for (start, stop), band in zip(config.bands, mask.split(sizes, -1), strict=True):
                whole[..., NUMBERS * start : NUMBERS * stop] += band
            mask = whole
        return torch.view_as_complex(mask.unflatten(-1, (config.bins, CHANNELS, 2)).contiguous())

    def _samples(self, spectra: Tensor) -> Tensor:
        config, settings = self._config, self._config.settings
        if settings.zero_dc:
            spectra[..., 0, :] = 0
        pieces = torch.fft.irfft(spectra.permute(0, 3, 1, 2), self._nfft, norm="ortho")
        pieces = pieces * self._window
        size = stft.length(self._nfft, self._hop, config.frames)
        signal = pieces.new_zeros(*pieces.shape[:2], size)
        stft.overlap_add(signal, pieces, self._hop)
        edge = self._nfft // 2
        return signal[..., edge : edge + settings.segment_frames] * self._gain
