"""Runtimes: OpenVINO on CPUs, PyTorch on CUDA and MPS."""

from aistemsplitter_engine.runtimes.base import Runtime, open_runtime

__all__ = ["Runtime", "open_runtime"]
