"""OpenVINO, imported without its model converter and the telemetry that comes with it.

``import openvino`` also imports the converter, which takes a fifth of the time and reports each
import over the network. OpenVINO has no setting against that, but works without the converter if it
cannot be imported. This module blocks it during the import, and lets other code in the process
import ``openvino.convert_model`` on first use.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_CONVERTER = "openvino.tools.ovc"


@contextmanager
def _without_converter() -> Iterator[None]:
    if "openvino" in sys.modules:  # the process has imported it before
        yield
        return
    sys.modules[_CONVERTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_CONVERTER]
    sys.modules["openvino"].__getattr__ = _import_converter  # type: ignore[method-assign]


def _import_converter(name: str) -> Any:
    if name != "convert_model":
        raise AttributeError(f"module 'openvino' has no attribute {name!r}")
    from openvino.tools.ovc import convert_model

    openvino.convert_model = convert_model
    return convert_model


with _without_converter():
    import openvino
    from openvino import opset13

__all__ = ["openvino", "opset13"]
