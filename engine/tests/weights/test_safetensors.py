"""A .safetensors header that contradicts itself or the file is rejected."""

from __future__ import annotations

import json
import struct
import tracemalloc
from typing import Any

import numpy as np
import pytest

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.checkpoint import parse_checkpoint

METADATA = {"klass": "demucs.htdemucs.HTDemucs", "args": "[]", "kwargs": '{"sources": ["a"]}'}
WEIGHT = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
BODY = struct.pack("<2f", 1, 2)


def file_of(header: object, body: bytes = BODY) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def file_with(weight: Any = WEIGHT, **metadata: Any) -> bytes:
    return file_of({"__metadata__": {**METADATA, **metadata}, "w": weight})


def test_the_smallest_file() -> None:
    checkpoint = parse_checkpoint(file_with())
    np.testing.assert_array_equal(checkpoint.tensors["w"], np.float32([1, 2]))
    assert checkpoint.arguments == {"sources": ["a"]}


@pytest.mark.parametrize(
    "weight",
    [
        None,
        [],
        {},
        WEIGHT | {"dtype": "F8_E4M3"},
        WEIGHT | {"dtype": ["F32"]},
        WEIGHT | {"dtype": "F64"},
        WEIGHT | {"shape": [3]},
        WEIGHT | {"shape": [-1, -2]},
        WEIGHT | {"shape": [1.0, 2]},
        WEIGHT | {"shape": [True, 2]},
        WEIGHT | {"shape": "2"},
        WEIGHT | {"shape": [0, 1 << 62]},
        WEIGHT | {"shape": [2] + [1] * 8},
        WEIGHT | {"data_offsets": [0, 16]},
        WEIGHT | {"data_offsets": [8, 0]},
        WEIGHT | {"data_offsets": [-8, 0]},
        WEIGHT | {"data_offsets": [0]},
        WEIGHT | {"data_offsets": [0.0, 8.0]},
        WEIGHT | {"shape": [0], "data_offsets": [0, 0]},
    ],
)
def test_invalid_tensors(weight: Any) -> None:
    with pytest.raises(ModelError, match=r"(the|its) tensor w"):
        parse_checkpoint(file_with(weight))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (struct.pack("<Q", 1 << 39) + b"{}", "header claims"),
        (struct.pack("<Q", 100) + b"{}", "cut short"),
        (file_of(b"{"), "header is damaged"),
        (file_of(b"{\xff}"), "header is damaged"),
        (file_of(b'{"a": ' + b"[" * 100_000 + b"}"), "header is damaged"),
        (file_of(b'{"a": ' + b"9" * 5000 + b"}"), "header is damaged"),
        (file_of(b'{"a": 1, "a": 1}'), "duplicate name"),
        (file_of({"w": WEIGHT}), "lacks klass"),
        (file_of({"__metadata__": {"klass": 1}}), "metadata is not text"),
        (file_of({"__metadata__": METADATA, "v": WEIGHT, "w": WEIGHT}), "overlap"),
        (file_of({"__metadata__": METADATA, "w": WEIGHT}, BODY + b"more"), "12 bytes"),
        (file_of({"__metadata__": METADATA}, b""), "no weights"),
        (
            file_of({"__metadata__": METADATA, "w": WEIGHT | {"data_offsets": [8, 16]}}, BODY * 2),
            "gaps",
        ),
        (file_with(klass="demucs.hdemucs.HDemucs"), "contains a demucs.hdemucs.HDemucs"),
        (file_with(structure="{}"), "quantised"),
        (file_with(kwargs="[]"), "not a dictionary"),
        (file_with(kwargs="{"), "kwargs is damaged"),
        (file_with(kwargs='{"sources": [], "sources": []}'), "duplicate name"),
        (file_with(args='[["a"], 2]'), "more than the sources"),
        (file_with(args='[["a"]]'), "twice"),
        (file_with(kwargs='{"x": {"_type": "fraction", "numerator": 1}}'), "not a fraction"),
        (
            file_with(kwargs='{"x": {"_type": "fraction", "numerator": 1, "denominator": 0}}'),
            "not a fraction",
        ),
        (file_with(kwargs='{"x": {"_class": "os.system"}}'), "not a plain value"),
        (file_with(WEIGHT | {"dtype": "I32"}), "int32"),
        (
            file_of({"__metadata__": METADATA, "w": WEIGHT}, struct.pack("<2f", 1, np.inf)),
            "infinite",
        ),
    ],
)
def test_broken_files_say_why(data: bytes, reason: str) -> None:
    with pytest.raises(ModelError, match=reason):
        parse_checkpoint(data)


def test_overlapping_tensors_are_not_copied() -> None:
    size = 1 << 20
    entry = {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}
    data = file_of({"__metadata__": METADATA, **{f"{n}": entry for n in range(64)}}, bytes(size))
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match="overlap"):
            parse_checkpoint(data)
        assert tracemalloc.get_traced_memory()[1] < 2 * size
    finally:
        tracemalloc.stop()


def test_weights_can_be_left_unread() -> None:
    broken = file_of({"__metadata__": METADATA, "w": WEIGHT}, struct.pack("<2f", 1, np.inf))
    lazy = parse_checkpoint(broken, lazy=True)
    assert lazy.arguments == {"sources": ["a"]}
    with pytest.raises(ModelError, match="infinite"):
        len(lazy.tensors)
