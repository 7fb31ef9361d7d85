"""The arrays of a PyTorch device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import Tensor

from aistemsplitter_engine.arrays import NUMPY, FloatArray


class TorchArrays:
    """The tensors of one device.

    On CUDA three streams run side by side: the caller's work (uploads, windows, overlap-add), the
    networks, and the downloads. Samples travel through pinned memory, so that no copy waits for
    the processor.
    """

    library: Any = torch

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.piece = NUMPY.piece if device.type == "cpu" else sys.maxsize
        self.cuda = device.type == "cuda"
        if self.cuda:
            self._own, self._networks, self._downloads = (
                torch.cuda.Stream(device) for _ in range(3)
            )

    def empty(self, *shape: int) -> Tensor:
        """Return a tensor with arbitrary values."""
        with self.stream():
            return torch.empty(shape, device=self.device)

    def write(self, array: Tensor, fill: Callable[[FloatArray], object]) -> None:
        """Overwrite a tensor with the samples that ``fill`` writes.

        PyTorch does not reuse the pinned memory before the copy is complete.
        """
        if self.device.type == "cpu":
            fill(array.numpy())
            return
        host = torch.empty(array.shape, pin_memory=self.cuda)
        fill(host.numpy())
        with self.stream():
            array.copy_(host, non_blocking=True)

    def download(self, array: Tensor) -> Callable[[], FloatArray]:
        """Start to copy a tensor to main memory; return a function that waits for the copy."""
        if not self.cuda:
            return lambda: array.cpu().numpy()
        self._downloads.wait_stream(self._own)
        with torch.cuda.stream(self._downloads):
            host = torch.empty(array.shape, pin_memory=True)
            host.copy_(array, non_blocking=True)
            copied = torch.cuda.Event(blocking=True)
            copied.record()
        array.record_stream(self._downloads)

        def wait() -> FloatArray:
            copied.synchronize()
            return host.numpy().copy()  # pinned memory is scarce, and used again for later copies

        return wait

    def stream(self) -> AbstractContextManager[object]:
        """Return a context for the caller's work."""
        return torch.cuda.stream(self._own) if self.cuda else nullcontext()

    def network(self, segments: Sequence[Tensor]) -> AbstractContextManager[object]:
        """Return a context for a network's work on segments that the caller's work has made."""
        if not self.cuda:
            return nullcontext()
        self._networks.wait_stream(self._own)
        for segment in segments:
            segment.record_stream(self._networks)
        return torch.cuda.stream(self._networks)

    def finish(self, estimates: Tensor) -> None:
        """Wait until estimates are computed, and leave them to the caller's work."""
        if not self.cuda:
            return
        computed = torch.cuda.Event(blocking=True)
        computed.record(self._networks)
        computed.synchronize()
        estimates.record_stream(self._own)


@cache
def arrays_of(device: torch.device) -> TorchArrays:
    """Return the arrays of a device, whose streams all networks share."""
    return TorchArrays(device)
