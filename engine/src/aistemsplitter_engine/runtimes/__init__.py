"""Who carries the network's operations out: OpenVINO on CPUs, PyTorch on CUDA and MPS."""

import sys

from aistemsplitter_engine.runtimes.base import Runtime, open_runtime

# OpenVINO tells its makers over the network each time it is imported, unless the first of these is
# not installed; the second converts models, and takes a fifth of the import.
for name in ("openvino_telemetry", "openvino.tools.ovc"):
    sys.modules.setdefault(name, None)  # type: ignore[arg-type]

__all__ = ["Runtime", "open_runtime"]
