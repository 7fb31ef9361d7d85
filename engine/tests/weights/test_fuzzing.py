"""Any bytes in a model file give a model or a ModelError."""

from __future__ import annotations

import contextlib
import io
import random
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.checkpoint import parse_checkpoint
from aistemsplitter_engine.weights.pickles import read_pickle
from aistemsplitter_engine.weights.store import TINY

MUTANTS = 3000


def mutant(data: bytes, draw: random.Random) -> bytes:
    """Return ``data`` with one to four changes of kinds that tend to reveal bugs."""
    changed = bytearray(data)
    for _ in range(draw.randint(1, 4)):
        place = draw.randrange(len(changed))
        kind = draw.randrange(5)
        if kind == 0:
            changed[place] = draw.randrange(256)
        elif kind == 1:
            changed[place] ^= 1 << draw.randrange(8)
        elif kind == 2:
            width = draw.choice((1, 2, 4, 8))
            value = draw.choice((0, 1, 255, (1 << 8 * width) - 1, 1 << (8 * width - 1)))
            changed[place : place + width] = (value % (1 << 8 * width)).to_bytes(width, "little")
        elif kind == 3:
            del changed[place : place + draw.randint(1, 16)]
        else:
            start = draw.randrange(len(changed))
            changed[place:place] = changed[start : start + draw.randint(1, 16)]
        if not changed:
            return b""
    return bytes(changed)


def read(data: bytes) -> None:
    with contextlib.suppress(ModelError):
        parse_checkpoint(data)


@pytest.mark.parametrize("seed", range(2))
def test_mutated_th(seed: int, small_th: bytes) -> None:
    draw = random.Random(seed)
    for _ in range(MUTANTS):
        read(mutant(small_th, draw))


@pytest.mark.parametrize("seed", range(2))
def test_mutated_pickles_within_a_whole_archive(
    seed: int, small_th: bytes, zip_around: Callable[..., bytes]
) -> None:
    with zipfile.ZipFile(io.BytesIO(small_th)) as archive:
        pickled = archive.read("archive/data.pkl")
        storages = {f"data/{n}": archive.read(f"archive/data/{n}") for n in (0, 1)}
    read(zip_around(pickled, **storages))
    draw = random.Random(seed)
    for _ in range(MUTANTS):
        read(zip_around(mutant(pickled, draw), **storages))


@pytest.mark.parametrize("seed", range(2))
def test_mutated_safetensors(seed: int) -> None:
    whole = TINY.read_bytes()
    header = whole[: 8 + int.from_bytes(whole[:8], "little")]
    draw = random.Random(seed)
    for _ in range(MUTANTS // 10):
        read(mutant(header[:1500], draw) + whole[1500 : 1 << 16])
        read(mutant(header, draw) + whole[len(header) :])


@given(st.binary(max_size=200))
@settings(max_examples=500)
def test_any_bytes(data: bytes) -> None:
    for start in (b"", b"PK\x03\x04", b"\x80\x02", b"\x10\0\0\0\0\0\0\0{"):
        read(start + data)
    with contextlib.suppress(ModelError):
        read_pickle(b"\x80\x02" + data)
