"""Reading a ``.safetensors`` file: eight bytes of length, a JSON header, the numbers.

Written here because the format is that small, the ``safetensors`` package would be one more thing
for every user to install, and its NumPy side cannot read bfloat16.
Source: https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.elements import STORED_AS, decode
from aistemsplitter_engine.weights.pickles import printable

LARGEST_HEADER = 4 << 20  # bytes; htdemucs has 60 kB
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


def looks_like_safetensors(data: bytes) -> bool:
    """Return whether the file begins like a ``.safetensors`` file."""
    return data[8:9] == b"{" and int.from_bytes(data[:8], "little") < 1 << 40


def read_safetensors(data: bytes) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    """Return the metadata, and the tensors by name, each in its own memory.

    Raises:
        ModelError: the file is cut short, damaged, or its header contradicts itself.
    """
    length = int.from_bytes(data[:8], "little")
    if length > LARGEST_HEADER:
        raise ModelError(f"its header claims {length} bytes, more than any checkpoint")
    if 8 + length > len(data):
        raise ModelError("it is cut short within its header")
    header = parse_json(data[8 : 8 + length], "header")
    if not isinstance(header, dict):
        raise ModelError("its header is not an object")
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise ModelError("its metadata is not text")

    body = memoryview(data)[8 + length :]
    tensors = {}
    spans = []
    for name, entry in header.items():
        tensors[name], span = _tensor(name, entry, body)
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            raise ModelError("its tensors overlap or leave gaps")
        end = stop
    if end != len(body):
        raise ModelError(f"it has {len(body)} bytes of tensors, but its header describes {end}")
    return metadata, tensors


def parse_json(text: str | bytes, what: str) -> Any:
    """Parse JSON; names must be unique in each object.

    Raises:
        ModelError: it is something else.
    """

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        result = dict(pairs)
        if len(result) != len(pairs):
            raise ValueError("duplicate name")
        return result

    try:
        return json.loads(text, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"its {what} is damaged ({printable(error)})") from None


def _tensor(name: str, entry: Any, body: memoryview) -> tuple[NDArray[Any], tuple[int, int]]:
    try:
        element = _ELEMENTS[entry["dtype"]]
        shape = tuple(entry["shape"])
        start, stop = entry["data_offsets"]
        plain = all(type(n) is int and 0 <= n < 1 << 62 for n in (*shape, start, stop))
    except (KeyError, TypeError, ValueError):
        plain = False
    if not plain or len(shape) > 8:
        raise ModelError(f"its header does not describe the tensor {printable(name)}")
    dtype = STORED_AS[element]
    if not start < stop <= len(body) or math.prod(shape) * dtype.itemsize != stop - start:
        raise ModelError(f"its tensor {printable(name)} does not fit its place in the file")
    # A copy is aligned and writable, and does not keep the file in memory.
    values = np.array(np.frombuffer(body[start:stop], dtype)).reshape(shape)
    return decode(values, element), (start, stop)
