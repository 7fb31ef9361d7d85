"""Reader of checkpoints: a model's arguments and its weights.

Formats are recognised by content. HTDemucs: ``.th`` (PyTorch), as published by the authors and
written by training runs, and ``.safetensors`` with the class and its arguments in the metadata, as
on the hub. RoFormers: ``.ckpt`` (PyTorch) with the weights alone, and ``.safetensors``, both with a
YAML beside them, whose text may also be the ``config`` in the metadata.

It needs neither PyTorch nor Demucs, and runs no code from the file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
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
LARGEST_FILE = 2 << 30  # bytes; the largest that is known, a RoFormer, has 1.7 GB
_DEEPEST = 8  # nesting of lists in an argument
_LARGEST_ARGUMENTS = 10_000  # values and characters of all arguments together
_ROFORMER = "band_split."  # begins the names of weights that only RoFormers have
_STATES = ("state_dict", "state", "model_state_dict")  # names of the weights beside other values
_ReadTensors = Callable[[], dict[str, NDArray[Any]]]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The content of a checkpoint.

    Attributes:
        arguments: Keyword arguments of ``HTDemucs.__init__``, or the content of a RoFormer's YAML,
            as plain Python values (str, int, float, bool, None, list, dict, Fraction).
        tensors: Weights by their official names, float16 or float32, finite, C-contiguous.
        digest: SHA-256 in hex of the file and of a config that was given with it, for naming what
            is derived from them, such as a cache.
        family: Name of the family of its network.
        shapes: Shapes of the weights, which are known before these are read.
    """

    arguments: Mapping[str, Any]
    tensors: Mapping[str, NDArray[np.floating]]
    digest: str
    family: str = "htdemucs"
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A checkpoint before its weights are read."""

    family: str
    arguments: dict[str, Any]
    shapes: dict[str, tuple[int, ...]]
    read: _ReadTensors


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


def load_checkpoint(
    path: Path, *, config: Mapping[str, Any] | None = None, lazy: bool = False
) -> Checkpoint:
    """Read a checkpoint from a file.

    Args:
        path: The file.
        config: Content of the model's YAML, for a RoFormer.
        lazy: Read the weights on first access, which then raises their errors, without the file's
            name. They are never accessed if the compiled network is in the cache.

    Raises:
        ModelError: The file does not exist, is damaged, or does not contain a supported model.
    """
    data = _read(path)
    try:
        return parse_checkpoint(data, config=config, lazy=lazy)
    except ModelError as error:
        raise ModelError(f"{path} cannot be used as a model: {error}") from None


def parse_checkpoint(
    data: bytes, *, config: Mapping[str, Any] | None = None, lazy: bool = False
) -> Checkpoint:
    """Read a checkpoint from a file's content, as :func:`load_checkpoint` does.

    Raises:
        ModelError: The content is damaged or not a supported model. The message has no file name.
    """
    with ThreadPoolExecutor(1, "digest") as pool:  # which takes half as long as the rest
        hashing = pool.submit(hashlib.sha256, data)
        parsed = _parse(data)
        arguments = _arguments(parsed, config)
        tensors = _Weights(parsed.read)
        if not lazy:
            len(tensors)  # reads them
    digest = hashing.result()
    if config is not None:
        digest.update(repr(arguments).encode())
    return Checkpoint(arguments, tensors, digest.hexdigest(), parsed.family, parsed.shapes)


def _arguments(parsed: _Parsed, config: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments: those in the file, which may not contradict a config, or the config."""
    if config is None:
        return parsed.arguments
    if parsed.family == "htdemucs":
        raise ModelError("it is an HTDemucs, which has no config: its arguments are in its file")
    if parsed.arguments and parsed.arguments != config:
        raise ModelError("its metadata has another config than the one given")
    return dict(config)


def _parse(data: bytes) -> _Parsed:
    if data.startswith(b"PK\x03\x04"):
        return _parse_torch(data)
    if looks_like_safetensors(data):
        return _parse_safetensors(data)
    if data.startswith(b"\x80"):
        raise ModelError(
            "it is in PyTorch's format from before 1.6; if you trust its source, convert it with "
            "PyTorch: torch.save(torch.load(path, weights_only=False), path)"
        )
    raise ModelError("it is empty" if not data else "it is neither .th, .ckpt nor .safetensors")


def _read(path: Path) -> bytes:
    # Not memory-mapped: if another process truncated the file, this one would be killed.
    try:
        status = path.stat()
        if not S_ISREG(status.st_mode):  # such as /dev/zero, which has no end
            raise ModelError(f"the model {path} cannot be read: it is not a file")
        if status.st_size > LARGEST_FILE:
            raise ModelError(
                f"{path} cannot be used as a model: it has {status.st_size >> 20} MiB, "
                "more than any checkpoint"
            )
        with path.open("rb") as file:
            return file.read(LARGEST_FILE)
    except OSError as error:
        raise ModelError(f"the model {path} cannot be read: {error.strerror or error}") from None


def _parse_torch(data: bytes) -> _Parsed:
    archive = TorchArchive(data)
    package = archive.contents()
    state = package if isinstance(package, dict) else {}
    if {"klass", "args", "kwargs", "state"} <= state.keys():
        return _parse_demucs(archive, state)
    state = next((state[key] for key in _STATES if isinstance(state.get(key), dict)), state)
    if not any(isinstance(name, str) and name.startswith(_ROFORMER) for name in state):
        raise ModelError(
            "it is no RoFormer, and has no klass, args, kwargs and state, as Demucs writes them; "
            "save an HTDemucs with demucs.states.serialize_model, which includes the model's "
            "arguments"
        )
    return _Parsed("roformer", {}, *_weights_of(archive, state))


def _weights_of(
    archive: TorchArchive, state: dict[Any, Any]
) -> tuple[dict[str, tuple[int, ...]], _ReadTensors]:
    """Return the shapes of a state's tensors, and the function that reads them."""
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, StoredTensor):
            raise ModelError(f"{excerpt(name)} in its state is not a tensor")

    def read() -> dict[str, NDArray[Any]]:
        return {name: archive.array(tensor) for name, tensor in state.items()}

    return {name: tensor.shape for name, tensor in state.items()}, read


def _parse_demucs(archive: TorchArchive, package: dict[Any, Any]) -> _Parsed:
    klass, args, kwargs, state = (package[key] for key in ("klass", "args", "kwargs", "state"))
    if not isinstance(klass, Global):
        raise ModelError("its klass is not a class")
    if not isinstance(kwargs, dict) or not isinstance(state, dict):
        raise ModelError("its kwargs or its state are not a dictionary")
    _check_class(klass.name)
    if "__quantized" in state:
        raise ModelError("its weights are quantised (DiffQ), which is not supported")
    arguments = _plain_arguments(_merged(args, kwargs))
    return _Parsed("htdemucs", arguments, *_weights_of(archive, state))


def _check_class(name: str) -> None:
    if name != HTDEMUCS:
        raise ModelError(f"it contains a {excerpt(name)}; only {HTDEMUCS} is supported")


def _parse_safetensors(data: bytes) -> _Parsed:
    file = SafetensorsFile(data)
    metadata = file.metadata
    if any(name.startswith(_ROFORMER) for name in file.shapes):
        arguments = {}
        if "config" in metadata:
            from aistemsplitter_engine.weights.config_file import parse_config  # rarely needed

            arguments = parse_config(metadata["config"])
        return _Parsed("roformer", arguments, file.shapes, file.arrays)
    if not {"klass", "args", "kwargs"} <= metadata.keys():
        raise ModelError(
            "its metadata lacks klass, args and kwargs, which describe the model as Demucs does"
        )
    if "structure" in metadata:
        raise ModelError("its weights are quantised (DiffQ), which is not supported")
    kwargs = parse_json(metadata["kwargs"], "kwargs")
    if not isinstance(kwargs, dict):
        raise ModelError("its kwargs are not a dictionary")
    _check_class(metadata["klass"])
    arguments = _plain_arguments(_merged(parse_json(metadata["args"], "args"), kwargs))
    return _Parsed("htdemucs", arguments, file.shapes, file.arrays)


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
