"""Who carries the network's operations out: OpenVINO on CPUs, PyTorch on CUDA and MPS."""

import sys

from aistemsplitter_engine.runtimes.base import Runtime, open_runtime

# OpenVINO tells its makers over the network each time it is imported, unless this is not installed.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

__all__ = ["Runtime", "open_runtime"]
