"""OpenVINO, imported without its telemetry.

``import openvino`` imports its model converter, which reports each import over the network. The
only setting against that is a file in the user's home, but without the package
``openvino_telemetry`` the converter reports nothing. So that package cannot be imported while
OpenVINO is. Everything else in OpenVINO, and that package afterwards, works as usual.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_TELEMETRY = "openvino_telemetry"


@contextmanager
def _without_telemetry() -> Iterator[None]:
    if "openvino" in sys.modules:  # the process has imported it before
        yield
        return
    imported = sys.modules.get(_TELEMETRY)
    # None makes its import raise ImportError. It is documented, but typeshed has only modules.
    sys.modules[_TELEMETRY] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[_TELEMETRY]
        if imported is not None:
            sys.modules[_TELEMETRY] = imported


with _without_telemetry():
    import openvino
    from openvino import opset13

__all__ = ["openvino", "opset13"]
