"""Reader of ``.safetensors`` files: the length of a header, the header in JSON, the tensors.

Our own rather than the ``safetensors`` package, of which 0.8 was tried: it maps the file, so that
truncating it kills this process, or reads it again after its digest was computed; from bytes it
returns no metadata. It accepts duplicate names and 100 MB of header, and lacks bfloat16 in NumPy.
Format: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt
from aistemsplitter_engine.weights.elements import STORED_AS, decode

LARGEST_HEADER = 4 << 20  # bytes; htdemucs has 60 kB, a RoFormer of 53 stems 1.8 MB
_ELEMENTS = {
    "F16": "float16",
    "F32": "float32",
    "F64": "float64",
    "BF16": "bfloat16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U8": "uint8",
    "BOOL": "bool",
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tensor in the header; ``start`` and ``stop`` are in bytes after it."""

    element: str
    shape: tuple[int, ...]
    start: int
    stop: int


def looks_like_safetensors(data: bytes) -> bool:
    """Return whether the file begins like a ``.safetensors`` file."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") < 1 << 40


class SafetensorsFile:
    """An open ``.safetensors`` file.

    Args:
        data: Content of the file.

    Attributes:
        metadata: The header's texts by name.
        shapes: Shapes of the tensors by name.

    Raises:
        ModelError: The file is cut short or damaged, or its header contradicts itself.
    """

    def __init__(self, data: bytes) -> None:
        header, self._body = _split(data)
        metadata = header.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
            raise ModelError("its metadata is not text")
        self.metadata: dict[str, str] = metadata
        self._entries = {name: _parse_entry(name, header[name]) for name in header}
        _check_coverage(self._entries, len(self._body))
        self.shapes = {name: entry.shape for name, entry in self._entries.items()}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the tensors by name, each a C-contiguous array in its own memory."""
        arrays = {}
        for name, entry in self._entries.items():
            raw = self._body[entry.start : entry.stop]
            # A copy is aligned and writable, and does not keep the file in memory.
            stored = np.array(np.frombuffer(raw, STORED_AS[entry.element])).reshape(entry.shape)
            arrays[name] = decode(stored, entry.element)
        return arrays


def parse_json(text: str | bytes, what: str) -> Any:
    """Parse JSON in which no object has a name twice.

    Raises:
        ModelError: It is damaged; the message calls it ``what``.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("duplicate name")
        return result

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its {what} is damaged ({excerpt(error)})") from None


def _split(data: bytes) -> tuple[dict[str, Any], memoryview]:
    """Return the header and the bytes after it."""
    length = int.from_bytes(data[:8], "little")
    if length > LARGEST_HEADER:
        raise ModelError(f"its header claims {length} bytes, more than any checkpoint needs")
    if 8 + length > len(data):
        raise ModelError("it is cut short within its header")
    header = parse_json(data[8 : 8 + length], "header")
    if not isinstance(header, dict):
        raise ModelError("its header is not an object")
    return header, memoryview(data)[8 + length :]


def _parse_entry(name: str, value: Any) -> _Entry:
    try:
        element = _ELEMENTS[value["dtype"]]
        shape = tuple(value["shape"])
        start, stop = value["data_offsets"]
        plain = all(type(n) is int and 0 <= n < 1 << 62 for n in (*shape, start, stop))
    except (KeyError, TypeError, ValueError):
        plain = False
    if not plain or len(shape) > 8:
        raise ModelError(f"its header does not describe the tensor {excerpt(name)}")
    size = math.prod(shape) * STORED_AS[element].itemsize
    if size == 0 or size != stop - start:
        raise ModelError(f"its tensor {excerpt(name)} does not fit its place in the file")
    return _Entry(element, shape, start, stop)


def _check_coverage(entries: dict[str, _Entry], size: int) -> None:
    """Check that the tensors fill the file without overlap, so that together they are as large."""
    end = 0
    for entry in sorted(entries.values(), key=lambda entry: entry.start):
        if entry.start != end:
            raise ModelError("its tensors overlap or leave gaps")
        end = entry.stop
    if end != size:
        raise ModelError(f"it has {size} bytes of tensors, but its header describes {end}")
