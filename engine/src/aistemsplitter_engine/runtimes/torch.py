"""The PyTorch runtime, for CUDA and MPS, and on the CPU for comparison."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.network.config import Configuration
from aistemsplitter_engine.network.htdemucs import htdemucs
from aistemsplitter_engine.network.parameters import Parameters, prepare
from aistemsplitter_engine.network.shapes import check_weights
from aistemsplitter_engine.options import Precision
from aistemsplitter_engine.runtimes.base import FloatArray
from aistemsplitter_engine.runtimes.torch_ops import TorchOps
from aistemsplitter_engine.weights.checkpoint import Checkpoint

TorchDevice = Literal["cpu", "cuda", "mps"]
_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}
_EPSILON = 1e-5


def choose_precision(device: TorchDevice, precision: Precision) -> Precision:
    """Check that the device exists; resolve ``auto`` to bf16 on CUDA cards that support it."""
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device cuda: PyTorch finds no CUDA card on this machine")
    if device == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device mps: PyTorch finds no Metal device on this machine")
    if precision != "auto":
        return precision
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"


class TorchRuntime:
    """A network on a PyTorch device, which also computes its Fourier transforms."""

    concurrency = 2  # one batch is copied while another is computed

    def __init__(self, checkpoint: Checkpoint, device: TorchDevice, precision: Precision) -> None:
        self.config = Configuration.from_arguments(checkpoint.arguments)
        check_weights(self.config, checkpoint.tensors)
        self.precision = precision
        self.batch_size = 1 if device == "cpu" else 8
        self._device, self._dtype = torch.device(device), _DTYPES[precision]
        weights = {
            name: torch.from_numpy(np.asarray(w, np.float32))
            for name, w in checkpoint.tensors.items()
        }
        self._parameters: Parameters = _map_tensors(
            prepare(self.config, weights, torch), lambda t: t.to(self._device, self._dtype)
        )
        self._window = torch.hann_window(self.config.nfft).to(self._device)
        self._lock = threading.Lock()

    def __call__(self, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
        batch = torch.from_numpy(np.ascontiguousarray(segments))
        with torch.inference_mode(), self._lock:
            result = self.separate(batch.to(self._device))[:, list(sources)].cpu()
        return result.numpy()

    def separate(self, segments: Tensor) -> Tensor:
        """Separate segments (batch, channels, samples) on the device into all sources."""
        spectrum = self._analyse(segments)
        image = torch.view_as_real(spectrum).flatten(-2)
        image, image_mean, image_std = _standardize(image)
        waves, waves_mean, waves_std = _standardize(segments[:, :, None])
        waves = F.pad(waves, (0, self.config.filled_frames - segments.shape[-1]))
        image, waves = htdemucs(
            TorchOps(), self.config, self._parameters, image.to(self._dtype), waves.to(self._dtype)
        )
        image = image.float() * image_std + image_mean
        waves = waves.float() * waves_std + waves_mean
        shape = (len(segments), len(self.config.sources), self.config.audio_channels)
        image = torch.view_as_complex(image.unflatten(-1, (-1, 2)).contiguous())
        return self._synthesize(image.unflatten(1, shape[1:])) + waves.view(*shape, -1)

    def _analyse(self, segments: Tensor) -> Tensor:
        """Return the spectrogram (batch, channels, frames, bins), as in ``network.transform``."""
        config, samples = self.config, segments.shape[-1]
        edge = config.hop // 2 * 3
        fill = config.spectrogram_frames * config.hop - samples
        padded = F.pad(segments, (edge, edge + fill), mode="reflect")
        windows = padded.unfold(-1, config.nfft, config.hop) * self._window
        return torch.fft.rfft(windows, norm="ortho")[..., : config.bins]

    def _synthesize(self, spectrum: Tensor) -> Tensor:
        """Return the samples of a spectrogram (..., frames, bins)."""
        config = self.config
        overlap, edge = config.nfft // config.hop, config.hop // 2 * 3
        pieces = torch.fft.irfft(F.pad(spectrum, (0, 1)), norm="ortho") * self._window
        pieces = pieces.unflatten(-1, (overlap, config.hop))
        signal = pieces.new_zeros(
            *pieces.shape[:-3], config.spectrogram_frames + overlap - 1, config.hop
        )
        for piece in range(overlap):
            signal[..., piece : piece + config.spectrogram_frames, :] += pieces[..., piece, :]
        return signal.flatten(-2)[..., edge : edge + config.segment_frames] / 1.5


def _standardize(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    std, mean = torch.std_mean(x, (1, 2, 3), keepdim=True)
    return (x - mean) / (std + _EPSILON), mean, std


def _map_tensors(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return nested dataclasses and tuples with ``change`` applied to every tensor."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, tuple):
        return tuple(_map_tensors(item, change) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return type(value)(**{k: _map_tensors(v, change) for k, v in fields.items()})
    return value
