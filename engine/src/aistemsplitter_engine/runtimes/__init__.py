"""Runtimes: OpenVINO on CPUs, PyTorch on CUDA and MPS."""

from aistemsplitter_engine.runtimes.base import Runtime
from aistemsplitter_engine.runtimes.choose import best_device, free_device_memory, open_runtime

__all__ = ["Runtime", "best_device", "free_device_memory", "open_runtime"]
