"""The command line and environment of child processes that run our Python code.

The environment is an allowlist: a child never gets the server's settings (its secret and database
URL among them), nor any other variable that it does not need.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

SINGLE_THREADED = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
"""The whole environment of a decoder."""

_ENGINE = {
    # Where weights and caches are.
    "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "TMPDIR", "TORCH_HOME", "HF_HOME", "HF_HUB_CACHE",
    "AISTEMSPLITTER_MODELS_DIR", "AISTEMSPLITTER_WEIGHTS_PATH",
    # Language of messages, time zone of logs, and where GPU drivers keep their libraries.
    "LANG", "LC_ALL", "LC_CTYPE", "TZ", "LD_LIBRARY_PATH",
}  # fmt: skip
_ENGINE_PREFIXES = (
    "CUDA_", "NVIDIA_", "PYTORCH_", "TORCH_", "OMP_", "MKL_", "OPENBLAS_", "KMP_", "OV_", "TBB_",
)  # fmt: skip


def command(module: str, *arguments: str) -> list[str]:
    """Return the command that calls ``main`` of a module in a new interpreter.

    The interpreter is isolated: it reads no ``PYTHON*`` variable, and finds the same modules as
    this process, except in its working directory.
    """
    path = [entry for entry in sys.path if Path(entry).is_absolute() and entry != str(Path.cwd())]
    start = f"import sys; sys.path[:] = {path!r}; from {module} import main; main()"
    return [sys.executable, "-I", "-c", start, *arguments]


def engine_environment() -> dict[str, str]:
    """Return the part of this process's environment that the engine needs."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in _ENGINE or name.startswith(_ENGINE_PREFIXES)
    }
