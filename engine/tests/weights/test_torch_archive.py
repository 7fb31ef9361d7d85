"""Damaged and misleading .th files are rejected."""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from typing import Any

import pytest
import torch
from demucs.htdemucs import HTDemucs

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.checkpoint import parse_checkpoint


def test_damage_is_detected(small_th: bytes) -> None:
    parse_checkpoint(small_th)
    with pytest.raises(ModelError, match="cut short"):
        parse_checkpoint(small_th[: len(small_th) // 2])
    with zipfile.ZipFile(io.BytesIO(small_th)) as archive:
        weights = archive.read("archive/data/1")
    place = small_th.index(weights)
    flipped = small_th[:place] + bytes([small_th[place] ^ 1]) + small_th[place + 1 :]
    with pytest.raises(ModelError, match=r"data/1 is damaged .*CRC"):
        parse_checkpoint(flipped)


def tensor_of(count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    """Return a package whose only weight is the given view of storage 0, in float32."""

    class Weight:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, (Stored(), offset, shape, strides, False, {})

    class Stored:
        pass

    class Pickler(pickle.Pickler):
        def persistent_id(self, value: object) -> object:
            is_stored = isinstance(value, Stored)
            return ("storage", torch.FloatStorage, "0", "cpu", count) if is_stored else None

    buffer = io.BytesIO()
    content = {"klass": HTDemucs, "args": (), "kwargs": {}, "state": {"w": Weight()}}
    Pickler(buffer, 2).dump(content)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("count", "offset", "shape", "strides"),
    [
        (4, 1, (4,), (1,)),
        (4, 0, (2, 2), (3, 1)),
        (4, 0, (5,), (0,)),
        (4, 0, (2, 2), (1,)),
        (4, 0, (1 << 40, 1 << 40), (0, 0)),
        (4, 0, (2,), (1 << 61,)),
        (4, 1 << 61, (1,), (1,)),
        (4, -1, (1,), (1,)),
        (4, 0, (-1,), (1,)),
        (4, 0, (2,), (-1,)),
        (4, 0, (0, 1 << 61), (1, 1)),
        (4, 0, (1,) * 9, (1,) * 9),
        (5, 0, (4,), (1,)),
        (3, 0, (3,), (1,)),
        (1 << 61, 0, (4,), (1,)),
    ],
)
def test_views_stay_within_their_storage(
    count: int,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    zip_around: Callable[..., bytes],
) -> None:
    right = zip_around(tensor_of(4, 0, (2, 2), (1, 2)), **{"data/0": bytes(16)})
    assert parse_checkpoint(right).tensors["w"].shape == (2, 2)
    wrong = zip_around(tensor_of(count, offset, shape, strides), **{"data/0": bytes(16)})
    with pytest.raises(ModelError):
        parse_checkpoint(wrong)


def test_archives_that_pytorch_does_not_write(zip_around: Callable[..., bytes]) -> None:
    pickled = tensor_of(4, 0, (4,), (1,))
    with pytest.raises(ModelError, match="compressed"):
        parse_checkpoint(zip_around(pickled, zipfile.ZIP_DEFLATED, **{"data/0": bytes(16)}))
    with pytest.raises(ModelError, match="big-endian"):
        parse_checkpoint(zip_around(pickled, byteorder=b"big", **{"data/0": bytes(16)}))
    with pytest.raises(ModelError, match="data/0 is missing"):
        parse_checkpoint(zip_around(pickled))
    with pytest.raises(ModelError, match="not one that PyTorch wrote"):
        parse_checkpoint(zip_around(pickled).replace(b"data.pkl", b"data.txt"))
    twice = zip_around(pickled, data_0=b"", **{"data/0": bytes(16)})
    with pytest.raises(ModelError, match="there twice"):
        parse_checkpoint(twice.replace(b"data_0", b"data/0"))
    many = {f"data/{n}": b"" for n in range(50_001)}
    with pytest.raises(ModelError, match="50002 entries"):
        parse_checkpoint(zip_around(pickled, **many))


def test_a_directory_of_many_megabytes_is_not_read() -> None:
    entries = 200_000
    directory = (b"PK\x01\x02" + bytes(42)) * entries
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, len(directory), 30, 0)
    with pytest.raises(ModelError, match="directory has 9200000 bytes"):
        parse_checkpoint(b"PK\x03\x04" + bytes(26) + directory + end)


def test_tensors_that_share_a_storage_cannot_exceed_the_files_size() -> None:
    shared = torch.zeros(100_000)
    buffer = io.BytesIO()
    views = {f"w{n}": shared.view(100, 1000).t() for n in range(100)}
    torch.save({"klass": HTDemucs, "args": (), "kwargs": {}, "state": views}, buffer)
    with pytest.raises(ModelError, match="larger than the file"):
        parse_checkpoint(buffer.getvalue())
