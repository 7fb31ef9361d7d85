"""Reading a ``.th`` file (PyTorch 1.6 and later): a zip of one pickle and its storages.

The entries are stored, not compressed, so nothing can grow beyond the file's own size, and the
zip's CRC-32 of each entry is checked as it is read.
"""

from __future__ import annotations

import io
import math
import struct
import zipfile
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from aistemsplitter_engine.errors import ModelError
from aistemsplitter_engine.weights.elements import STORED_AS, decode
from aistemsplitter_engine.weights.pickles import Storage, StoredTensor, printable, read_pickle

MOST_ENTRIES = 20_000  # htdemucs has 537
DAMAGE = (  # raised by zipfile for damaged files
    zipfile.BadZipFile,
    ValueError,
    OverflowError,
    RuntimeError,
    EOFError,
    OSError,
    struct.error,
)


class TorchArchive:
    """An opened ``.th`` file.

    Args:
        data: the whole file.

    Raises:
        ModelError: it is damaged, or not what PyTorch writes.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            entries = self._zip.infolist()
        except DAMAGE as error:
            raise ModelError(f"its zip is damaged or cut short ({printable(error)})") from None
        if len(entries) > MOST_ENTRIES:
            raise ModelError(f"it has {len(entries)} entries, more than any checkpoint")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            if entry.filename in self._entries:
                raise ModelError(f"its entry {printable(entry.filename)} is there twice")
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise ModelError("its entries are compressed or encrypted, as PyTorch writes none")
            self._entries[entry.filename] = entry
        # Entries that overlap could each be as large as the file.
        if sum(entry.file_size for entry in entries) > len(data):
            raise ModelError("its entries are larger than the file")
        self._storages: dict[str, NDArray[Any]] = {}
        self._room = len(data)  # remaining bytes for tensors
        self._root = self._find_root()

    def contents(self) -> Any:
        """The saved value, with its tensors as :class:`StoredTensor`."""
        return read_pickle(self._read(f"{self._root}/data.pkl"))

    def array(self, tensor: StoredTensor) -> NDArray[Any]:
        """Return the tensor as a contiguous array.

        Raises:
            ModelError: it reaches out of its storage, or its storage is not in the file.
        """
        storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
        dtype = STORED_AS[storage.element]
        numbers = self._numbers(storage, dtype)
        size = math.prod(shape)
        last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=False))
        if len(shape) != len(strides) or not 0 < size <= len(numbers) or last >= len(numbers):
            raise ModelError(f"a tensor of shape {shape} does not fit its storage")
        # Tensors that share a storage could each be as large as it.
        self._room -= size * dtype.itemsize
        if self._room < 0:
            raise ModelError("its tensors are larger than the file")
        # The stride of an axis of length 1 is irrelevant.
        steps = [
            step * dtype.itemsize if n > 1 else 0 for n, step in zip(shape, strides, strict=True)
        ]
        return decode(as_strided(numbers[tensor.offset :], shape, steps), storage.element)

    def _numbers(self, storage: Storage, dtype: np.dtype[Any]) -> NDArray[Any]:
        if storage.key not in self._storages:
            raw = self._read(f"{self._root}/data/{storage.key}")
            self._storages[storage.key] = np.array(np.frombuffer(raw, np.uint8))
        raw_numbers = self._storages[storage.key]
        if raw_numbers.nbytes != storage.count * dtype.itemsize:
            raise ModelError(f"storage {printable(storage.key)} is not as long as it says")
        return raw_numbers.view(dtype)

    def _find_root(self) -> str:
        roots = [
            name.removesuffix("/data.pkl")
            for name in self._entries
            if name.endswith("/data.pkl") and name.count("/") == 1
        ]
        if len(roots) != 1:
            raise ModelError("it is a zip, but not one that PyTorch wrote")
        order = f"{roots[0]}/byteorder"
        if order in self._entries and self._read(order) != b"little":
            raise ModelError("its numbers are big-endian, which is not supported")
        return roots[0]

    def _read(self, name: str) -> bytes:
        try:
            return self._zip.read(self._entries[name])
        except KeyError:
            raise ModelError(f"its entry {printable(name)} is missing") from None
        except DAMAGE as error:
            raise ModelError(
                f"its entry {printable(name)} is damaged ({printable(error)})"
            ) from None
