"""The choice of a runtime."""

from __future__ import annotations

import importlib.util
import logging
import os
import platform
import sys
from collections.abc import Callable, Collection
from functools import cache
from pathlib import Path
from typing import Literal, get_args

from aistemsplitter_engine.errors import OptionError
from aistemsplitter_engine.options import Device, Precision, checked_device
from aistemsplitter_engine.runtimes.base import Runtime
from aistemsplitter_engine.weights.checkpoint import Checkpoint

_logger = logging.getLogger(__name__)


OpenRuntime = Callable[[Checkpoint, Collection[str] | None], Runtime]
"""Loads a checkpoint, for some of its sources or, with None, for all."""


def open_runtime(device: Device, precision: Precision) -> OpenRuntime:
    """Choose a runtime, and return the function that loads a checkpoint into it.

    CPUs are computed on by PyTorch where OpenVINO, which has no wheels there, is not installed.

    Raises:
        OptionError: This machine has no such device, or the device no such precision, or the
            libraries for it are not installed.
    """
    device = checked_device(device)
    if precision not in get_args(Precision):
        raise OptionError(f"precision {precision!r} is not one of {', '.join(get_args(Precision))}")
    device = best_device() if device == "auto" else device
    if device == "cpu" and importlib.util.find_spec("openvino") is not None:
        from aistemsplitter_engine.runtimes.openvino import OpenVinoRuntime, choose_precision

        cpu_precision = choose_precision(precision)
        return lambda checkpoint, sources: OpenVinoRuntime(checkpoint, cpu_precision, sources)
    if importlib.util.find_spec("torch") is None:
        needed = "OpenVINO or PyTorch" if device == "cpu" else "PyTorch"
        raise OptionError(
            f"device {device} needs {needed}: pip install 'aistemsplitter-engine[torch]'"
        )
    from aistemsplitter_engine.runtimes import torch as pytorch

    chosen = pytorch.choose_precision(device, precision)
    return lambda checkpoint, sources: pytorch.TorchRuntime(checkpoint, device, chosen, sources)


def free_device_memory() -> None:
    """Return the memory of freed networks to the GPU, which PyTorch keeps for its own use."""
    if (torch := sys.modules.get("torch")) is not None:
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
        if torch.backends.mps.is_available():
            torch.mps.empty_cache()


def best_device() -> Literal["cpu", "cuda", "mps"]:
    """Return the GPU if there is one that can be used; warn once if there is one that cannot."""
    if not _has_gpu():  # importing PyTorch only to find that out would take seconds
        return "cpu"
    if importlib.util.find_spec("torch") is None:
        _warn_of_unused_gpu("PyTorch is not installed: pip install 'aistemsplitter-engine[torch]'")
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if torch.backends.mps.is_available():
        return "mps"
    _warn_of_unused_gpu("the installed PyTorch cannot use it")
    return "cpu"


def _has_gpu() -> bool:
    """Return whether this machine seems to have a GPU that PyTorch supports."""
    if sys.platform == "darwin":
        return platform.machine() == "arm64"
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", ""), "System32", "nvcuda.dll").exists()
    drivers = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, Windows' own in WSL
    return any(Path(driver).exists() for driver in drivers)


@cache
def _warn_of_unused_gpu(reason: str) -> None:
    _logger.warning(
        "The CPU is used although this machine has a GPU: %s. Device cpu silences this warning.",
        reason,
    )
