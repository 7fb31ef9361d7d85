"""Runtimes: OpenVINO on CPUs, PyTorch on CUDA and MPS."""

from aistemsplitter_engine.runtimes.base import Runtime
from aistemsplitter_engine.runtimes.choose import open_runtime

__all__ = ["Runtime", "open_runtime"]
