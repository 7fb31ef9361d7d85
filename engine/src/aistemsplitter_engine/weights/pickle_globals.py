"""Globals that a checkpoint's pickle may refer to, and the functions that stand in for them.

A global in a pickle is the dotted name of a class or function. Nothing is imported here: a name
becomes a :class:`Global`, and calling one runs the function under that name in ``_STAND_INS``. A
call takes only five bytes of a pickle, so each of them must be fast and return a small value.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt

_LONGEST_ENCODED = 256  # characters; a NumPy scalar has at most 8
_ELEMENT_OF_STORAGE = {
    "torch.HalfStorage": "float16",
    "torch.FloatStorage": "float32",
    "torch.DoubleStorage": "float64",
    "torch.BFloat16Storage": "bfloat16",
    "torch.LongStorage": "int64",
    "torch.IntStorage": "int32",
    "torch.ShortStorage": "int16",
    "torch.CharStorage": "int8",
    "torch.ByteStorage": "uint8",
    "torch.BoolStorage": "bool",
}
_MODEL_CLASSES = frozenset(
    {"demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs"}
)


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function, which is never imported."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """A one-dimensional array in an entry of the archive.

    Attributes:
        element: Number format, a key of :data:`~aistemsplitter_engine.weights.elements.STORED_AS`.
        key: Name of the entry in the archive's ``data`` folder.
        count: Number of elements.
    """

    element: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor as a view of a storage. Its offset and strides are in elements, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def find_global(module: Any, name: Any) -> Global:
    """Return the global of this name.

    Raises:
        ModelError: It is not among those that checkpoints need.
    """
    if not (isinstance(module, str) and isinstance(name, str)):
        raise TypeError("a global without a name")
    full = f"{module}.{name}"
    if module.split(".")[0] == "diffq":
        raise ModelError("its weights are quantised by DiffQ, which is not supported")
    if full not in _STAND_INS and full not in _ELEMENT_OF_STORAGE and full not in _MODEL_CLASSES:
        raise ModelError(f"it refers to {excerpt(full)}, which no checkpoint needs: refused")
    return Global(full)


def call(function: Any, arguments: Any) -> Any:
    """Return what the function that stands in for a global makes of the arguments.

    Raises:
        ModelError: The global is not one that can be called.
    """
    if not isinstance(function, Global) or function.name not in _STAND_INS:
        name = function.name if isinstance(function, Global) else type(function).__name__
        raise ModelError(f"its pickle calls {excerpt(name)}, which no checkpoint needs: refused")
    if not isinstance(arguments, tuple):
        raise TypeError("arguments that are not a tuple")
    return _STAND_INS[function.name](*arguments)


def find_storage(persistent_id: Any) -> Storage:
    """Return the storage that a persistent id describes."""
    kind, storage, key, _device, count = persistent_id
    if kind != "storage" or not isinstance(storage, Global) or not isinstance(key, str):
        raise ValueError("not a storage")
    return Storage(_ELEMENT_OF_STORAGE[storage.name], key, _natural(count))


def check_state(target: Any, state: Any) -> None:
    """Check the state that a pickle gives to an object. It is never applied.

    Raises:
        ModelError: The object is not one that checkpoints give a state to.
    """
    if isinstance(target, np.dtype):
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", "|", "=")):
            raise ValueError("a number format that is not little-endian")
    elif type(target) is not dict:  # PyTorch gives the OrderedDict of weights a `_metadata`
        raise ModelError("its pickle sets attributes of an object, which no checkpoint needs")


def _natural(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 1 << 62:
        raise ValueError("a count out of range")
    return value


def _naturals(values: Any) -> tuple[int, ...]:
    if not isinstance(values, tuple) or len(values) > 8:
        raise ValueError("a shape out of range")
    return tuple(_natural(value) for value in values)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_hooks: Any) -> StoredTensor:
    if not isinstance(storage, Storage):
        raise TypeError("a tensor without a storage")
    return StoredTensor(storage, _natural(offset), _naturals(shape), _naturals(strides))


def _parameter(tensor: Any, *_hooks: Any) -> StoredTensor:
    if not isinstance(tensor, StoredTensor):
        raise TypeError("a parameter that is not a tensor")
    return tensor


def _ordered_dict() -> dict[Any, Any]:
    # Its items follow as instructions. As an argument, one list could be copied in every call.
    return {}


def _fraction(numerator: Any, denominator: Any = None) -> Fraction:
    # Only short whole numbers are parsed: Fraction("1e999999999") would compute for hours.
    if isinstance(numerator, str) and denominator is None:
        match = re.fullmatch(r"(-?[0-9]{1,18})(?:/([0-9]{1,18}))?", numerator)
        if match is None:
            raise ValueError("not a fraction")
        numerator, denominator = int(match[1]), int(match[2] or 1)
    if type(numerator) is not int or type(denominator) is not int or denominator <= 0:
        raise ValueError("not a fraction")
    return Fraction(numerator, denominator)


def _dtype(code: Any, *_flags: Any) -> np.dtype[Any]:
    if not isinstance(code, str) or re.fullmatch(r"[<|=]?[fiub][1248]", code) is None:
        raise ValueError("not a plain number format")
    return np.dtype(code)


def _scalar(dtype: Any, raw: Any) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(raw, bytes):
        raise TypeError("not a number")
    return np.frombuffer(raw, dtype, count=1)[0].item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    # Bytes in protocol 2. A long text could be encoded again in every call.
    if not isinstance(text, str) or len(text) > _LONGEST_ENCODED:
        raise ValueError("not a few bytes")
    if encoding not in ("latin1", "latin-1"):
        raise ValueError("bytes in another encoding than Latin-1")
    return text.encode("latin1")


_STAND_INS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered_dict,
    "fractions.Fraction": _fraction,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,  # NumPy 1
    "numpy._core.multiarray.scalar": _scalar,  # NumPy 2
    "_codecs.encode": _encode,
}
