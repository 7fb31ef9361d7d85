"""A pickle that refers to anything but the listed globals is rejected without running it."""

from __future__ import annotations

import builtins
import functools
import importlib
import operator
import os
import pickle
import runpy
import struct
import subprocess
from collections import OrderedDict
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from demucs.htdemucs import HTDemucs

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.checkpoint import parse_checkpoint
from aistemsplitter_engine.weights.pickle_globals import Global
from aistemsplitter_engine.weights.pickles import read_pickle


class Calls:
    """An object that pickles as a call of any function."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> tuple[Any, ...]:
        function, *arguments = self.call
        return function, tuple(arguments)


@pytest.fixture
def marker(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "it_ran"
    yield path
    assert not path.exists()


TOUCH = "open({!r}, 'w').close()"


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize(
    ("attack", "named"),
    [
        (lambda m: Calls(os.system, f"touch {m}"), "system"),
        (lambda m: Calls(builtins.eval, TOUCH.format(str(m))), "eval"),
        (lambda m: Calls(builtins.exec, TOUCH.format(str(m))), "exec"),
        (lambda m: Calls(subprocess.check_output, ["touch", str(m)]), "check_output"),
        (lambda _: Calls(importlib.import_module, "this"), "import_module"),
        (lambda m: Calls(runpy.run_path, str(m)), "run_path"),
        (lambda m: Calls(Path.touch, m), "getattr|Path"),
        (lambda m: Calls(operator.methodcaller("touch"), m), "methodcaller"),
        (lambda m: Calls(functools.partial(os.system, f"touch {m}")), "partial"),
        (lambda m: Calls(torch.load, str(m)), "torch"),
        (lambda _: Calls(torch.hub.load, "a/b", "c"), "torch"),
        (lambda m: Calls(np.load, str(m), None, True), "numpy"),
        (lambda m: OrderedDict(x=[{"deep": (Calls(os.system, f"touch {m}"),)}]), "system"),
    ],
)
def test_calls_are_rejected_by_name(
    attack: Callable[[Path], object],
    named: str,
    protocol: int,
    marker: Path,
    package_with: Callable[..., bytes],
) -> None:
    with pytest.raises(ModelError, match=named):
        parse_checkpoint(package_with(attack(marker), protocol))


def test_the_attacks_are_real(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(Calls(os.system, f"touch {tmp_path / 'it_ran'}"), 2))
    assert (tmp_path / "it_ran").exists()


def call_pickle(module: str, name: str, *arguments: str) -> bytes:
    """Return ``module.name(*arguments)`` as a pickle of protocol 2."""
    strings = b"".join(b"X" + struct.pack("<I", len(a.encode())) + a.encode() for a in arguments)
    return b"\x80\x02c" + f"{module}\n{name}\n".encode() + b"(" + strings + b"tR."


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "getattr"),
        ("__builtin__", "eval"),
        ("copyreg", "_reconstructor"),
        ("copyreg", "add_extension"),
        ("fractions", "os.system"),
        ("collections", "OrderedDict.__reduce__"),
        ("fractions", "Fraction.__init__.__globals__"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("torch", "HalfStorage.from_file"),
        ("demucs.htdemucs", "HTDemucs.load"),
        ("demucs.htdemucs.HTDemucs", "load"),
        ("fractions.Fraction", "x"),
        ("", "fractions.Fraction"),
        ("numpy.core.multiarray", "_reconstruct"),
        ("numpy", "fromfile"),
        ("torch.storage", "_load_from_bytes"),
        ("torch.jit._serialization", "load"),
    ],
)
def test_other_names_are_rejected(module: str, name: str, marker: Path) -> None:
    with pytest.raises(ModelError, match="refused") as refusal:
        read_pickle(call_pickle(module, name, f"touch {marker}"))
    assert f"{module}.{name}" in str(refusal.value)


def test_a_class_is_a_name_and_cannot_be_made_or_called() -> None:
    assert read_pickle(pickle.dumps(HTDemucs, 2)) == Global("demucs.htdemucs.HTDemucs")
    with pytest.raises(ModelError, match=r"calls demucs\.htdemucs\.HTDemucs"):
        read_pickle(call_pickle("demucs.htdemucs", "HTDemucs", "x"))
    with pytest.raises(ModelError, match=r"calls torch\.HalfStorage"):
        read_pickle(call_pickle("torch", "HalfStorage", "x"))


@pytest.mark.parametrize(
    "text", ["1e999999999", "1e-999999999", "9" * 5000, "1/0", "0x1", "nan", "1_0", "١", "1.5", ""]
)
def test_a_fraction_is_parsed_without_computing(text: str) -> None:
    with pytest.raises(ModelError, match="damaged"):
        read_pickle(call_pickle("fractions", "Fraction", text))


@pytest.mark.parametrize("value", [Fraction(39, 5), Fraction(-3), Fraction(0)])
def test_both_spellings_of_a_fraction(value: Fraction) -> None:
    assert read_pickle(call_pickle("fractions", "Fraction", str(value))) == value  # Python 3.11
    assert read_pickle(pickle.dumps(value, 2)) == value


@pytest.mark.parametrize("module", ["numpy.core.multiarray", "numpy._core.multiarray"])
@pytest.mark.parametrize("value", [np.float64(0.125), np.float32(-2), np.int64(7), np.bool_(True)])
def test_numpy_scalars_become_plain_numbers(value: np.generic, module: str) -> None:
    pickled = pickle.dumps(value, 2).replace(b"numpy._core.multiarray", module.encode())
    result = read_pickle(pickled)
    assert result == value
    assert type(result) in (float, int, bool)


@pytest.mark.parametrize("code", ["O", "V8", ">f8", "M8[ns]", "S10", "f8,O", "U4"])
def test_other_number_formats_are_rejected(code: str) -> None:
    with pytest.raises(ModelError, match="damaged"):
        read_pickle(call_pickle("numpy", "dtype", code))


def test_big_endian_scalars_are_rejected() -> None:
    with pytest.raises(ModelError, match="little-endian"):
        read_pickle(pickle.dumps(np.dtype(">f8"), 2))


def test_bytes_in_protocol_2() -> None:
    assert read_pickle(pickle.dumps(b"\x00\xff", 2)) == b"\x00\xff"


def test_a_call_cannot_copy_a_large_value() -> None:
    # Each further call of the same function with the same argument takes five bytes.
    with pytest.raises(ModelError, match="damaged"):
        read_pickle(call_pickle("_codecs", "encode", "a" * 1000))
    with pytest.raises(ModelError, match="damaged"):
        read_pickle(b"\x80\x02ccollections\nOrderedDict\n](K\x01N\x86e\x85R.")
