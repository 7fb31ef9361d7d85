"""A pickle with anything but plain data is rejected, and none takes much time or memory."""

from __future__ import annotations

import copyreg
import pickle
import subprocess
import sys
from collections import OrderedDict

import pytest
import torch

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.pickles import read_pickle

NESTED_KEY = b"\x80\x02})" + b"\x85" * 500_000 + b"Ns."


@pytest.mark.parametrize(
    ("opcode", "program"),
    [
        ("INST", b"(ios\nsystem\n."),
        ("OBJ", b"(cfractions\nFraction\nX\x01\x00\x00\x001o."),
        ("NEWOBJ", b"\x80\x02cfractions\nFraction\nX\x01\x00\x00\x001\x85\x81."),
        ("NEWOBJ_EX", b"\x80\x04cfractions\nFraction\n)}\x92."),
        ("PERSID", b"Pstorage\n."),
        ("NEXT_BUFFER", b"\x80\x05\x97."),
        ("BYTEARRAY8", b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00x."),
        ("EMPTY_SET", b"\x80\x04\x8f."),
        ("DUP", b"N2."),
    ],
)
def test_other_opcodes_are_rejected(opcode: str, program: bytes) -> None:
    with pytest.raises(ModelError, match=f"opcode {opcode},"):
        read_pickle(program)


def test_the_registry_of_extensions_is_not_consulted() -> None:
    copyreg.add_extension("os", "system", 240)
    try:
        program = b"\x80\x02\x82\xf0(X\x01\x00\x00\x00xtR."
        with pytest.raises(ModelError, match="EXT1"):
            read_pickle(program)
    finally:
        copyreg.remove_extension("os", "system", 240)


@pytest.mark.parametrize(
    "target",
    [b"cdemucs.htdemucs\nHTDemucs\n", b"cfractions\nFraction\n", b"X\x01\x00\x00\x00a", b"]", b"N"],
)
@pytest.mark.parametrize("state", [b"}X\x01\x00\x00\x00aK\x01s", b"N}X\x01\x00\x00\x00aK\x01s\x86"])
def test_no_attribute_is_set(target: bytes, state: bytes) -> None:
    with pytest.raises(ModelError, match="sets attributes"):
        read_pickle(b"\x80\x02" + target + state + b"b.")


def test_the_attributes_of_an_ordered_dict_are_ignored() -> None:
    state = torch.nn.Linear(1, 1).state_dict()  # an OrderedDict with `_metadata`
    ordered = OrderedDict(a=1)
    ordered._metadata = state._metadata  # type: ignore[attr-defined]
    assert read_pickle(pickle.dumps(ordered, 2)) == {"a": 1}


@pytest.mark.parametrize(
    "program",
    [
        b"",
        b".",
        b"\x80\x02N",
        b"\x80\x02t.",
        b"\x80\x02(.",
        b"\x80\x02h\x05.",
        b"\x80\x02(R.",
        b"\x80\x02NNR.",
        b"\x80\x02b.",
        b"\x80\x02Nb.",
        b"\x80\x02s.",
        b"\x80\x02}Ns.",
        b"\x80\x02}(Nu.",
        b"\x80\x02}]Ns.",
        b"\x80\x02Na.",
        b"\x80\x02]a.",
        b"\x80\x02NQ.",
        b"\x80\x02)Q.",
        b"\x80\x04NN\x93.",
        b"\x80\x02cfractions\nFraction\nNR.",
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.",
        b"\x80\x02X\xff\xff\xff\xffabc.",
        b"\x80\x02\x8a\xffabc.",
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        b"\x80\x02X\x01\x00\x00\x00\xff.",
        b"\x80\x02c\xff\n\xff\n.",
    ],
)
def test_malformed_pickles_are_errors(program: bytes) -> None:
    with pytest.raises(ModelError):
        read_pickle(program)


def test_a_huge_memo_index_takes_no_memory() -> None:
    assert read_pickle(b"\x80\x02Nr\xff\xff\xff\xff.") is None


def test_deeply_nested_keys_do_not_overflow_the_stack() -> None:
    with pytest.raises(ModelError, match="key"):
        read_pickle(NESTED_KEY)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_deeply_nested_keys_crash_the_standard_unpickler() -> None:
    """The reason for a reader of our own."""
    program = """
import pickle, resource, sys

class Strictest(pickle.Unpickler):
    def find_class(self, module, name):
        raise pickle.UnpicklingError(name)

resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
Strictest(sys.stdin.buffer).load()
"""
    run = subprocess.run([sys.executable, "-c", program], input=NESTED_KEY, capture_output=True)
    assert run.returncode < 0, run.stderr


def test_integer_keys() -> None:
    keys = {0: 1, -5: 2, 1 << 40: 3, True: 4}
    assert read_pickle(pickle.dumps(keys, 2)) == keys
    with pytest.raises(ModelError, match="key"):  # 80,000 of these would share one hash
        read_pickle(pickle.dumps({(1 << 61) * 1000: 1}, 2))


def test_a_pickle_of_many_megabytes_is_not_read() -> None:
    with pytest.raises(ModelError, match="more than any checkpoint"):
        read_pickle(b"\x80\x02" + b"N0" * (1 << 21) + b"N.")


def test_control_characters_do_not_reach_the_terminal() -> None:
    with pytest.raises(ModelError) as refusal:
        read_pickle(b"\x80\x04X\x04\x00\x00\x00\x1b[2JX\x03\x00\x00\x00a\nb\x93.")
    assert str(refusal.value).isprintable()
