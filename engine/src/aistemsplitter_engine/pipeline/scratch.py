"""A temporary file of a song's samples, between two steps of a combination."""

from __future__ import annotations

import tempfile
from typing import Self

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.errors import OutputError

_ITEM = 4  # bytes of a sample


class ScratchFile:
    """Samples of several stereo signals (s, 2, n) on disk, in the folder for temporary files.

    A context manager that deletes them. The file has no name, so a killed process leaves nothing.
    """

    def __init__(self, signals: int) -> None:
        self._signals = signals
        self.frames = 0
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by __exit__
        except OSError as error:
            raise _full(error) from error  # callers recognise a full disk by its cause

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def append(self, block: FloatArray) -> None:
        """Append samples of all signals (s, 2, n)."""
        rows = np.ascontiguousarray(block.reshape(2 * self._signals, -1).T, np.float32)
        try:
            self._file.seek(self.frames * 2 * self._signals * _ITEM)
            self._file.write(rows.data)
            self._file.flush()
        except OSError as error:
            raise _full(error) from error
        self.frames += len(rows)

    def read(self, start: int, stop: int) -> FloatArray:
        """Return samples ``start`` to ``stop`` of all signals (s, 2, n)."""
        size = 2 * self._signals * _ITEM
        self._file.seek(start * size)
        data = self._file.read((stop - start) * size)
        rows = np.frombuffer(data, np.float32).reshape(stop - start, self._signals, 2)
        return np.ascontiguousarray(rows.transpose(1, 2, 0))


def _full(error: OSError) -> OutputError:
    return OutputError(
        f"{tempfile.gettempdir()}: stems between two models cannot be stored there: "
        f"{error.strerror or error}; choose another folder with TMPDIR"
    )
