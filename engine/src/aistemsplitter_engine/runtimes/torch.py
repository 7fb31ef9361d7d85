"""The PyTorch runtime, for CUDA and MPS, and on the CPU for comparison."""

from __future__ import annotations

import dataclasses
import logging
import math
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aistemsplitter_engine.errors import DeviceError, OptionError
from aistemsplitter_engine.families import open_network
from aistemsplitter_engine.families.base import Network
from aistemsplitter_engine.options import Precision
from aistemsplitter_engine.runtimes.torch_arrays import arrays_of
from aistemsplitter_engine.runtimes.torch_ops import TorchOps
from aistemsplitter_engine.weights.checkpoint import Checkpoint

_DTYPES = {"float32": torch.float32, "bf16": torch.bfloat16, "float16": torch.float16}
_LARGEST_BATCH = 16
_BYTES_PER_INPUT = 300  # htdemucs needs 180 to 210 for each value of its inputs, and a margin
_launching = threading.Lock()  # holds for all networks: they share the memory and the TF32 flags
_logger = logging.getLogger(__name__)


def choose_precision(device: str, precision: Precision) -> Precision:
    """Check that the device exists; resolve ``auto`` to bf16 on CUDA GPUs that support it.

    Raises:
        OptionError: PyTorch finds no such device.
    """
    kind, _, number = device.partition(":")
    if kind == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if count == 0:
            raise OptionError(f"device {device}: PyTorch finds no CUDA GPU on this machine")
        if number and int(number) >= count:
            found = ", ".join(f"cuda:{index}" for index in range(count))
            raise OptionError(f"device {device}: PyTorch finds no such GPU; it finds {found}")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise OptionError("device mps: PyTorch finds no Metal device on this machine")
    if precision != "auto":
        return precision
    if kind != "cuda":
        return "float32"
    with torch.cuda.device(device):
        return "bf16" if torch.cuda.is_bf16_supported() else "float32"


class TorchRuntime:
    """A network on a PyTorch device, which also computes its Fourier transforms.

    ``device`` is ``cuda``, ``cuda:1``, ``mps``, or ``cpu`` for comparison.
    """

    concurrency = 2  # one batch is launched while another is computed

    def __init__(
        self,
        checkpoint: Checkpoint,
        device: str,
        precision: Precision,
        sources: Collection[str] | None = None,
    ) -> None:
        self.network = network = open_network(checkpoint, sources)
        network.check(checkpoint.tensors)
        self.precision = precision
        self.arrays = arrays_of(_with_number(torch.device(device)))
        self._dtype = _DTYPES[precision]
        weights = {
            name: torch.from_numpy(np.asarray(w, np.float32))
            for name, w in checkpoint.tensors.items()
        }
        self._parameters = _map_tensors(
            network.prepare(weights, torch), lambda t: t.to(self.arrays.device, self._dtype)
        )
        self._transform = network.transform(self.arrays.device)
        self.batch_size = _fitting_batch(self.arrays.device, network)
        self._largest = sys.maxsize  # the largest batch that fits into memory, as far as known

    def __call__(self, segments: Sequence[Tensor], sources: tuple[int, ...]) -> Tensor:
        """Separate segments of :attr:`arrays`; in smaller batches once one did not fit."""
        parts: list[Tensor] = []
        start = 0
        while start < len(segments):
            stop = min(len(segments), start + self._largest)
            try:
                parts.append(self._batch(segments[start:stop], sources))
                start = stop
                continue
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
            # Here, not above: the error holds the tensors that are to be freed.
            self._halve(stop - start)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def separate(self, segments: Tensor) -> Tensor:
        """Separate segments (batch, channels, samples) on the device into all sources."""
        inputs, scale = self._transform.analyse(segments)
        inputs = [image.to(self._dtype) for image in inputs]
        outputs = self.network.compute(TorchOps(), self._parameters, inputs)
        return self._transform.synthesize([image.float() for image in outputs], scale)

    def _batch(self, segments: Sequence[Tensor], sources: tuple[int, ...]) -> Tensor:
        with torch.no_grad(), self.arrays.network(segments):
            # A batch is launched after the previous one has freed its memory, in the stream's
            # order. The GPU is not waited for meanwhile.
            with _launching, exact_products() if self.precision == "float32" else nullcontext():
                estimates = self.separate(torch.stack([*segments]))
            chosen = torch.stack([estimates[:, source] for source in sources], dim=1)
            self.arrays.finish(chosen)
        return chosen

    def _halve(self, batch: int) -> None:
        """Limit later batches to half of one that did not fit."""
        device = self.arrays.device
        if device.type == "cuda":
            torch.cuda.empty_cache()
        if batch == 1:
            raise DeviceError(
                f"device {device}: not enough memory for one segment; "
                "end other programs that use it, or choose device cpu"
            )
        self._largest = min(self._largest, batch // 2)
        _logger.warning(
            "Device %s has no memory for %d segments at once; continuing with %d.",
            device, batch, self._largest,
        )  # fmt: skip


@contextmanager
def exact_products() -> Iterator[None]:
    """Multiply float32 without TF32 until the context ends.

    PyTorch has these flags for the whole process only; an operation reads them when it is launched.
    """
    cudnn: Any = torch.backends.cudnn
    cublas: Any = torch.backends.cuda.matmul
    try:
        _ = cublas.allow_tf32
        products, convolutions = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    except RuntimeError:  # the program uses the flags of PyTorch 2.9, which do not mix with these
        before = cublas.fp32_precision, cudnn.conv.fp32_precision
        cublas.fp32_precision = cudnn.conv.fp32_precision = "ieee"
        try:
            yield
        finally:
            cublas.fp32_precision, cudnn.conv.fp32_precision = before
        return
    try:
        if products != "highest":
            torch.set_float32_matmul_precision("highest")
        cudnn.allow_tf32 = False
        yield
    finally:
        if products != "highest":
            torch.set_float32_matmul_precision(products)
        cudnn.allow_tf32 = convolutions


def _with_number(device: torch.device) -> torch.device:
    """Return ``cuda`` as the current GPU."""
    if device.type == "cuda" and device.index is None:
        return torch.device("cuda", torch.cuda.current_device())
    return device


def _fitting_batch(device: torch.device, network: Network) -> int:
    """Return how many segments to compute at once, given the device's free memory."""
    if device.type == "cpu":
        return 1
    if device.type != "cuda":
        return 8
    free, _ = torch.cuda.mem_get_info(device)
    segment = _BYTES_PER_INPUT * sum(math.prod(shape) for shape in network.input_shapes)
    return max(1, min(_LARGEST_BATCH, int(0.8 * free) // segment))


def _is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether a device's memory was exhausted, for which libraries have other errors."""
    reasons = ("out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED")
    return isinstance(error, torch.OutOfMemoryError) or any(r in str(error) for r in reasons)


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
