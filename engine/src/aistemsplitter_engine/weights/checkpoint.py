"""Reader of HTDemucs checkpoints: the arguments of the model's constructor, and its weights.

Reads both formats that Demucs has, recognised by content: ``.th`` (PyTorch), as published by the
authors and written by training runs, and ``.safetensors`` with the class and its arguments in the
metadata, as on the hub. It needs neither PyTorch nor Demucs, and runs no code from the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.messages import excerpt
from aistemsplitter_engine.weights.pickle_globals import Global, StoredTensor
from aistemsplitter_engine.weights.safetensors import (
    SafetensorsFile,
    looks_like_safetensors,
    parse_json,
)
from aistemsplitter_engine.weights.torch_archive import TorchArchive

HTDEMUCS = "demucs.htdemucs.HTDemucs"
LARGEST_FILE = 2 << 30  # bytes; the largest of the family has 168 MB in float32
_DEEPEST = 8  # nesting of lists in an argument
_LARGEST_ARGUMENTS = 10_000  # values and characters of all arguments together
_ReadTensors = Callable[[], dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        arguments: Keyword arguments of ``HTDemucs.__init__`` as plain Python values (str, int,
            float, bool, None, list, Fraction).
        tensors: Weights by their official names, float16 or float32, finite, C-contiguous.
        digest: SHA-256 of the file in hex, for naming what is derived from it, such as a cache.
        family: Name of the family of its network.
    """

    arguments: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.floating]]
    digest: str
    family: str = "htdemucs"


class _Weights(Mapping[str, NDArray[np.floating]]):
    """Weights that are read and checked on first access."""

    def __init__(self, read: _ReadTensors) -> None:
        self._read = read

    @cached_property
    def _tensors(self) -> dict[str, NDArray[np.floating]]:
        tensors = _checked(self._read())
        del self._read  # frees the file's content
        return tensors

    def __getitem__(self, name: str) -> NDArray[np.floating]:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def load_checkpoint(path: Path, *, lazy: bool = False) -> Checkpoint:
    """Read an HTDemucs checkpoint from a ``.th`` or ``.safetensors`` file.

    Args:
        path: The file.
        lazy: Read the weights on first access, which then raises their errors, without the file's
            name. They are never accessed if the compiled network is in the cache.

    Raises:
        ModelError: The file does not exist, is damaged, or does not contain an HTDemucs.
    """
    data = _read(path)
    try:
        return parse_checkpoint(data, lazy=lazy)
    except ModelError as error:
        raise ModelError(f"{path} cannot be used as a model: {error}") from None


def parse_checkpoint(data: bytes, *, lazy: bool = False) -> Checkpoint:
    """Read a checkpoint from a file's content, as :func:`load_checkpoint` does.

    Raises:
        ModelError: The content is damaged or not an HTDemucs. The message has no file name.
    """
    with ThreadPoolExecutor(1, "digest") as pool:  # which takes half as long as the rest
        digest = pool.submit(hashlib.sha256, data)
        arguments, tensors = _parse(data)
        if not lazy:
            len(tensors)  # reads them
    return Checkpoint(arguments, tensors, digest.result().hexdigest())


def _parse(data: bytes) -> tuple[dict[str, Any], _Weights]:
    if data.startswith(b"PK\x03\x04"):
        klass, arguments, read = _parse_th(data)
    elif looks_like_safetensors(data):
        klass, arguments, read = _parse_safetensors(data)
    elif data.startswith(b"\x80"):
        raise ModelError(
            "it is in PyTorch's format from before 1.6; if you trust its source, convert it with "
            "PyTorch: torch.save(torch.load(path, weights_only=False), path)"
        )
    else:
        raise ModelError("it is empty" if not data else "it is neither .th nor .safetensors")
    if klass != HTDEMUCS:
        raise ModelError(f"it contains a {excerpt(klass)}; only {HTDEMUCS} is supported")
    return _plain_arguments(arguments), _Weights(read)


def _read(path: Path) -> bytes:
    # Not memory-mapped: if another process truncated the file, this one would be killed.
    try:
        if (size := path.stat().st_size) > LARGEST_FILE:
            raise ModelError(
                f"{path} cannot be used as a model: it has {size >> 20} MiB, more than any HTDemucs"
            )
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"the model {path} cannot be read: {error.strerror or error}") from None


def _parse_th(data: bytes) -> tuple[str, dict[str, Any], _ReadTensors]:
    archive = TorchArchive(data)
    package = archive.contents()
    if not isinstance(package, dict) or not {"klass", "args", "kwargs", "state"} <= package.keys():
        raise ModelError(
            "it has no klass, args, kwargs and state, as Demucs writes them; save it with "
            "demucs.states.serialize_model, which includes the model's arguments"
        )
    klass, args, kwargs, state = (package[key] for key in ("klass", "args", "kwargs", "state"))
    if not isinstance(klass, Global):
        raise ModelError("its klass is not a class")
    if not isinstance(kwargs, dict) or not isinstance(state, dict):
        raise ModelError("its kwargs or its state are not a dictionary")
    if klass.name != HTDEMUCS:
        return klass.name, {}, dict
    if "__quantized" in state:
        raise ModelError("its weights are quantised (DiffQ), which is not supported")
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, StoredTensor):
            raise ModelError(f"{excerpt(name)} in its state is not a tensor")

    def read() -> dict[str, NDArray[Any]]:
        return {name: archive.array(tensor) for name, tensor in state.items()}

    return klass.name, _merged(args, kwargs), read


def _parse_safetensors(data: bytes) -> tuple[str, dict[str, Any], _ReadTensors]:
    file = SafetensorsFile(data)
    metadata = file.metadata
    if not {"klass", "args", "kwargs"} <= metadata.keys():
        raise ModelError(
            "its metadata lacks klass, args and kwargs, which describe the model as Demucs does"
        )
    if "structure" in metadata:
        raise ModelError("its weights are quantised (DiffQ), which is not supported")
    kwargs = parse_json(metadata["kwargs"], "kwargs")
    if not isinstance(kwargs, dict):
        raise ModelError("its kwargs are not a dictionary")
    arguments = _merged(parse_json(metadata["args"], "args"), kwargs)
    return metadata["klass"], arguments, file.arrays


def _merged(args: Any, kwargs: dict[Any, Any]) -> dict[Any, Any]:
    """Return all arguments by name. Demucs passes at most the first one, sources, by position."""
    if not isinstance(args, list | tuple) or len(args) > 1:
        raise ModelError("its args have more than the sources; save the others as kwargs")
    if args and "sources" in kwargs:
        raise ModelError("its sources are there twice, in args and in kwargs")
    return {**({"sources": args[0]} if args else {}), **kwargs}


def _plain_arguments(arguments: Mapping[Any, Any]) -> dict[str, Any]:
    budget = _LARGEST_ARGUMENTS

    def plain(name: str, value: Any, depth: int) -> Any:
        nonlocal budget
        budget -= 1 + (len(value) if isinstance(value, str) else 0)
        if budget < 0 or depth > _DEEPEST:  # lists may contain each other, or themselves
            raise ModelError("its arguments are too large")
        if value is None or type(value) in (str, int, float, bool, Fraction):
            return value
        if isinstance(value, list | tuple):
            return [plain(name, item, depth + 1) for item in value]
        if isinstance(value, dict) and value.get("_type") == "fraction":
            return _json_fraction(name, value)
        raise ModelError(f"its argument {excerpt(name)} is not a plain value")

    result = {}
    for name, value in arguments.items():
        if not isinstance(name, str):
            raise ModelError(f"the name of its argument {excerpt(name)} is not text")
        result[name] = plain(name, value, 0)
    return result


def _json_fraction(name: str, value: dict[str, Any]) -> Fraction:
    numerator, denominator = value.get("numerator"), value.get("denominator")
    if type(numerator) is not int or type(denominator) is not int or denominator == 0:
        raise ModelError(f"its argument {excerpt(name)} is not a fraction")
    return Fraction(numerator, denominator)


def _checked(tensors: dict[str, NDArray[Any]]) -> dict[str, NDArray[np.floating]]:
    if not tensors:
        raise ModelError("it has no weights")
    for name, tensor in tensors.items():
        if not np.issubdtype(tensor.dtype, np.floating):
            raise ModelError(
                f"its {excerpt(name)} holds {tensor.dtype}, not floating-point numbers"
            )
        if not np.isfinite(tensor).all():
            raise ModelError(f"its {excerpt(name)} has infinite or NaN weights")
    return tensors
