"""Reader of ``.th`` and ``.ckpt`` files, as PyTorch 1.6 and later write them.

They are a zip of one pickle and the storages of the tensors.

PyTorch compresses no entry, and a compressed one is refused, so that nothing read here is larger
than the file. The CRC-32 of each entry is checked as it is read.
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
from aistemsplitter_engine.messages import excerpt
from aistemsplitter_engine.weights.elements import STORED_AS, decode
from aistemsplitter_engine.weights.pickle_globals import Storage, StoredTensor
from aistemsplitter_engine.weights.pickles import read_pickle

MOST_ENTRIES = 50_000  # htdemucs has 537, a RoFormer of 53 stems 13,600
LARGEST_DIRECTORY = 8 << 20  # bytes; 50,000 entries of PyTorch need less than half of that
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
    """An open file of PyTorch.

    Args:
        data: Content of the file.

    Raises:
        ModelError: It is damaged, or not as PyTorch writes it.
    """

    def __init__(self, data: bytes) -> None:
        self._zip = _open_zip(data)
        entries = self._zip.infolist()
        if len(entries) > MOST_ENTRIES:
            raise ModelError(f"it has {len(entries)} entries, more than any checkpoint")
        self._entries: dict[str, zipfile.ZipInfo] = {}
        for entry in entries:
            if entry.filename in self._entries:
                raise ModelError(f"its entry {excerpt(entry.filename)} is there twice")
            if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
                raise ModelError("its entries are compressed or encrypted, unlike PyTorch's")
            self._entries[entry.filename] = entry
        # Entries that overlap could each be as large as the file.
        if sum(entry.file_size for entry in entries) > len(data):
            raise ModelError("its entries are larger than the file")
        self._storages: dict[str, NDArray[np.uint8]] = {}
        self._unread = len(data)  # bytes that tensors may still take
        self._root = self._find_root()

    def contents(self) -> Any:
        """Return the saved value, with each tensor as a :class:`StoredTensor`.

        Raises:
            ModelError: The pickle is damaged, or uses more than checkpoints need.
        """
        return read_pickle(self._read(f"{self._root}/data.pkl"))

    def array(self, tensor: StoredTensor) -> NDArray[Any]:
        """Return a tensor as a C-contiguous array.

        Raises:
            ModelError: It exceeds its storage, or its storage is damaged or missing.
        """
        storage, shape, strides = tensor.storage, tensor.shape, tensor.strides
        dtype = STORED_AS[storage.element]
        elements = self._elements(storage, dtype)
        size = math.prod(shape)
        last = tensor.offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=False))
        if len(shape) != len(strides) or not 0 < size <= len(elements) or last >= len(elements):
            raise ModelError(f"a tensor of shape {shape} does not fit its storage")
        # Tensors that share a storage could each be as large as it.
        self._unread -= size * dtype.itemsize
        if self._unread < 0:
            raise ModelError("its tensors are larger than the file")
        # An axis of length 1 may have any stride.
        steps = [
            step * dtype.itemsize if n > 1 else 0 for n, step in zip(shape, strides, strict=True)
        ]
        return decode(as_strided(elements[tensor.offset :], shape, steps), storage.element)

    def _elements(self, storage: Storage, dtype: np.dtype[Any]) -> NDArray[Any]:
        if storage.key not in self._storages:
            raw = self._read(f"{self._root}/data/{storage.key}")
            self._storages[storage.key] = np.array(np.frombuffer(raw, np.uint8))
        raw_elements = self._storages[storage.key]
        if raw_elements.nbytes != storage.count * dtype.itemsize:
            raise ModelError(
                f"its storage {excerpt(storage.key)} has another length than it states"
            )
        return raw_elements.view(dtype)

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
            raise ModelError(f"its entry {excerpt(name)} is missing") from None
        except DAMAGE as error:
            raise ModelError(f"its entry {excerpt(name)} is damaged ({excerpt(error)})") from None


def _open_zip(data: bytes) -> zipfile.ZipFile:
    source = _LimitedReads(data)
    try:
        archive = zipfile.ZipFile(source)
    except DAMAGE as error:
        raise ModelError(f"its zip is damaged or cut short ({excerpt(error)})") from None
    source.limit = None
    return archive


class _LimitedReads(io.BytesIO):
    """A file that refuses to read the whole of an enormous directory.

    ``zipfile`` reads a zip's directory at once, and makes an object of 300 bytes of each entry.
    """

    limit: int | None = LARGEST_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        if self.limit is not None and size is not None and size > self.limit:
            raise zipfile.BadZipFile(f"its directory has {size} bytes, more than any checkpoint's")
        return super().read(size)
