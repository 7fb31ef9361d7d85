"""The PyTorch runtime, for CUDA and MPS, and on the CPU for comparison."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.families import open_network
from aistemsplitter_engine.options import Precision
from aistemsplitter_engine.runtimes.torch_ops import TorchOps
from aistemsplitter_engine.weights.checkpoint import Checkpoint

TorchDevice = Literal["cpu", "cuda", "mps"]
_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}


def choose_precision(device: TorchDevice, precision: Precision) -> Precision:
    """Check that the device exists; resolve ``auto`` to bf16 on CUDA cards that support it."""
    if device == "cuda" and not torch.cuda.is_available():
        raise OptionError("device cuda: PyTorch finds no CUDA GPU on this machine")
    if device == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device mps: PyTorch finds no Metal device on this machine")
    if precision != "auto":
        return precision
    return "bf16" if device == "cuda" and torch.cuda.is_bf16_supported() else "float32"


class TorchRuntime:
    """A network on a PyTorch device, which also computes its Fourier transforms."""

    concurrency = 2  # one batch is copied while another is computed

    def __init__(self, checkpoint: Checkpoint, device: TorchDevice, precision: Precision) -> None:
        self.network = network = open_network(checkpoint)
        network.check(checkpoint.tensors)
        self.precision = precision
        self.batch_size = 1 if device == "cpu" else 8
        self._device, self._dtype = torch.device(device), _DTYPES[precision]
        weights = {
            name: torch.from_numpy(np.asarray(w, np.float32))
            for name, w in checkpoint.tensors.items()
        }
        self._parameters = _map_tensors(
            network.prepare(weights, torch), lambda t: t.to(self._device, self._dtype)
        )
        self._transform = network.transform(self._device)
        self._lock = threading.Lock()

    def __call__(self, segments: FloatArray, sources: tuple[int, ...]) -> FloatArray:
        batch = torch.from_numpy(np.ascontiguousarray(segments))
        with torch.inference_mode(), self._lock:
            result = self.separate(batch.to(self._device))[:, list(sources)].cpu()
        return result.numpy()

    def separate(self, segments: Tensor) -> Tensor:
        """Separate segments (batch, channels, samples) on the device into all sources."""
        inputs, scale = self._transform.analyse(segments)
        inputs = [image.to(self._dtype) for image in inputs]
        outputs = self.network.compute(TorchOps(), self._parameters, inputs)
        return self._transform.synthesize([image.float() for image in outputs], scale)


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
