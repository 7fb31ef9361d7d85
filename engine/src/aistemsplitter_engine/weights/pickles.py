"""Reading the pickle inside a ``.th`` file without executing anything.

A pickle is a program for a small stack machine, and Python's own machine can call any function and
change any object that the program names. This one cannot: :mod:`pickletools` splits the program
into instructions, and the loop below carries out the few that plain data, tensors and a class's
name need. A name is only ever an inert :class:`Global`; calling one looks it up in a table of
builders written here, and every other name and instruction is refused by name. So nothing is
imported, no attribute is looked up or set, and no registry is consulted.
"""

from __future__ import annotations

import io
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from aistemsplitter_engine.errors import ModelError

LARGEST_PICKLE = 1 << 20  # bytes; htdemucs has 80 kB
_MARK = object()
_MEMO = ("BINPUT", "LONG_BINPUT")
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = (
    *("BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"),
    *("BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES"),
)
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


@dataclass(frozen=True, slots=True)
class Global:
    """The name of a class or function, which is never imported."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """``count`` numbers in an entry of the archive."""

    element: str
    key: str
    count: int


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A view of a storage; ``offset`` and ``strides`` are in numbers, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_pickle(data: bytes) -> Any:
    """Return the pickle's value: plain Python values, :class:`Global` and :class:`StoredTensor`.

    Raises:
        ModelError: It is damaged, or uses more than checkpoints need.
    """
    if len(data) > LARGEST_PICKLE:
        raise ModelError(f"its description has {len(data)} bytes, more than any checkpoint needs")
    try:
        return _run(data)
    # pickletools warns of a backslash in a name, and warnings may be errors.
    except (ValueError, TypeError, LookupError, AttributeError, OverflowError, Warning) as error:
        raise ModelError(f"its pickle is damaged ({printable(error)})") from None


def printable(value: object) -> str:
    """Return ``value`` as short text for an error, without control characters."""
    text = ascii(str(value))[1:-1]
    return text if len(text) <= 100 else text[:97] + "..."


def _run(data: bytes) -> Any:
    stack: list[Any] = []
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        for position in range(len(stack) - 1, -1, -1):
            if stack[position] is _MARK:
                items = stack[position + 1 :]
                del stack[position:]
                return items
        raise ValueError("no mark on the stack")

    def pop(count: int) -> tuple[Any, ...]:
        if len(stack) < count or any(item is _MARK for item in stack[len(stack) - count :]):
            raise ValueError("the stack is too short")
        items = tuple(stack[len(stack) - count :])
        del stack[len(stack) - count :]
        return items

    argument: Any
    for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
        name = opcode.name
        if name in ("PROTO", "FRAME"):
            pass
        elif name == "STOP":
            (result,) = pop(1)
            return result
        elif name == "MARK":
            stack.append(_MARK)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            stack.append(argument)
        elif name in _MEMO or name == "MEMOIZE":
            (value,) = pop(1)
            memo[len(memo) if name == "MEMOIZE" else argument] = value
            stack.append(value)
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            stack.append(pop(int(name[-1])))
        elif name == "TUPLE":
            stack.append(tuple(pop_to_mark()))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name in ("APPEND", "APPENDS"):
            items = [*pop(1)] if name == "APPEND" else pop_to_mark()
            _top(stack, list).extend(items)
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("SETITEM", "SETITEMS"):
            items = [*pop(2)] if name == "SETITEM" else pop_to_mark()
            _set_items(_top(stack, dict), items)
        elif name == "GLOBAL":
            stack.append(_global(*argument.split(" ", 1)))
        elif name == "STACK_GLOBAL":
            stack.append(_global(*pop(2)))
        elif name == "BINPERSID":
            stack.append(_storage(*pop(1)))
        elif name == "REDUCE":
            stack.append(_build(*pop(2)))
        elif name == "BUILD":
            (state,) = pop(1)
            _check_state(stack[-1], state)
        else:
            raise ModelError(f"its pickle uses the instruction {name}, which no checkpoint needs")
    raise ValueError("no end")


def _top(stack: list[Any], kind: type[Any]) -> Any:
    if not stack or type(stack[-1]) is not kind:
        raise TypeError(f"items for something that is not a {kind.__name__}")
    return stack[-1]


def _set_items(target: dict[Any, Any], items: list[Any]) -> None:
    if len(items) % 2:
        raise ValueError("a key without a value")
    for key in items[::2]:
        # Hashing a deeply nested tuple would overflow the C stack.
        if not isinstance(key, str | int | float | None):
            raise TypeError("a dictionary key that is not a plain value")
    target.update(zip(items[::2], items[1::2], strict=True))


def _global(module: Any, name: Any) -> Global:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise TypeError("a global without a name")
    full = f"{module}.{name}"
    if module.split(".")[0] == "diffq":
        raise ModelError("its weights are quantised by DiffQ, which is not supported")
    if full not in _BUILDERS and full not in _ELEMENT_OF_STORAGE and full not in _DEMUCS:
        raise ModelError(f"it refers to {printable(full)}, which no checkpoint needs: refused")
    return Global(full)


def _storage(identity: Any) -> Storage:
    kind, storage, key, _location, count = identity
    if kind != "storage" or not isinstance(storage, Global) or not isinstance(key, str):
        raise ValueError("not a storage")
    return Storage(_ELEMENT_OF_STORAGE[storage.name], key, _natural(count))


def _build(function: Any, arguments: Any) -> Any:
    if not isinstance(function, Global) or function.name not in _BUILDERS:
        named = function.name if isinstance(function, Global) else type(function).__name__
        raise ModelError(f"its pickle calls {printable(named)}, which no checkpoint needs: refused")
    if not isinstance(arguments, tuple):
        raise TypeError("arguments that are not a tuple")
    return _BUILDERS[function.name](*arguments)


def _check_state(target: Any, state: Any) -> None:
    """Read the attributes that an object is given; never set them."""
    if isinstance(target, np.dtype):
        if not (isinstance(state, tuple) and len(state) > 1 and state[1] in ("<", "|", "=")):
            raise ValueError("a number format that is not little-endian")
    elif type(target) is not dict:  # PyTorch's OrderedDict has `_metadata`
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


def _ordered_dict(items: Any = ()) -> dict[Any, Any]:
    if not isinstance(items, list | tuple):
        raise TypeError("not a list of items")
    target: dict[Any, Any] = {}
    for key, value in items:
        _set_items(target, [key, value])
    return target


def _dtype(code: Any, *_flags: Any) -> np.dtype[Any]:
    if not isinstance(code, str) or re.fullmatch(r"[<|=]?[fiub][1248]", code) is None:
        raise ValueError("not a plain number format")
    return np.dtype(code)


def _scalar(dtype: Any, raw: Any) -> Any:
    if not isinstance(dtype, np.dtype) or not isinstance(raw, bytes):
        raise TypeError("not a number")
    return np.frombuffer(raw, dtype, count=1)[0].item()


def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("not bytes")
    return text.encode("latin1")


_DEMUCS = frozenset({"demucs.htdemucs.HTDemucs", "demucs.hdemucs.HDemucs", "demucs.demucs.Demucs"})
_BUILDERS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": _parameter,
    "collections.OrderedDict": _ordered_dict,
    "fractions.Fraction": _fraction,
    "numpy.dtype": _dtype,
    "numpy.core.multiarray.scalar": _scalar,  # NumPy 1
    "numpy._core.multiarray.scalar": _scalar,  # NumPy 2
    "_codecs.encode": _encode,
}
