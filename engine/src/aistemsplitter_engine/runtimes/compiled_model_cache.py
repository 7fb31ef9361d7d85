"""The cache of compiled models, in the user's cache folder."""

from __future__ import annotations

import mmap
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from aistemsplitter_engine.folders import cache_folder
from aistemsplitter_engine.runtimes.openvino_without_telemetry import openvino as ov

MAX_BYTES = 4 << 30
"""Of all compiled models together: five of htdemucs_ft's four in float32."""

_LENGTH_BYTES = 8  # at the end of a file: the length of what precedes them
_ABANDONED = 3600.0  # seconds after which a file that is being written is left of a killed process


class CachedModel:
    """A compiled model's place in the cache, which may be empty.

    Models that were compiled in different ways, such as for another number of threads, have
    different names and stay beside each other. Those that were not used for longest are deleted
    when all together would exceed ``MAX_BYTES``.

    A loaded model uses this object's memory, so it must live as long as the model.
    """

    def __init__(self, name: str) -> None:
        self._path = cache_folder() / "compiled" / f"{name}.blob"
        self._memory: mmap.mmap | None = None

    def exists(self) -> bool:
        """Return whether the cache has this model."""
        return self._path.is_file()

    def load(self, core: ov.Core, options: dict[str, object]) -> ov.CompiledModel | None:
        """Return the model, or None if it is missing, damaged or of another processor."""
        try:
            with self._path.open("rb") as file:
                # Mapped: files here are only ever replaced as a whole.
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            if int.from_bytes(memory[-_LENGTH_BYTES:], "little") != len(memory) - _LENGTH_BYTES:
                return None  # truncated; OpenVINO would read past its end
            content = np.frombuffer(memory, np.uint8)[:-_LENGTH_BYTES]
            model = core.import_model(ov.Tensor(content, shared_memory=True), "CPU", options)
        except (OSError, ValueError, RuntimeError):
            return None
        self._memory = memory
        if hasattr(mmap, "MADV_DONTNEED"):
            # OpenVINO has rearranged the weights; the rest is read from disk again if needed.
            memory.madvise(mmap.MADV_DONTNEED)
        with suppress(OSError):  # such as a folder that is read-only
            os.utime(self._path)  # used now
        return model

    def store(self, model: ov.CompiledModel) -> None:
        """Write a compiled model, where there is room; without it the next start is slower."""
        unfinished = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            content = model.export_model().getbuffer()
            _make_room(self._path.parent, len(content) + _LENGTH_BYTES)
            with unfinished.open("wb") as file:
                file.write(content)
                file.write(len(content).to_bytes(_LENGTH_BYTES, "little"))
            unfinished.replace(self._path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)


def _make_room(folder: Path, size: int) -> None:
    """Delete abandoned files, and models from the least recently used on until ``size`` fits."""
    abandoned_before = time.time() - _ABANDONED
    for path, (used, _) in _entries(folder, "*.part").items():
        if used < abandoned_before:
            _delete(path)
    models = _entries(folder, "*.blob")
    total = size + sum(bytes_ for _, bytes_ in models.values())
    for path, (_, bytes_) in sorted(models.items(), key=lambda entry: entry[1]):
        if total <= MAX_BYTES:
            break
        _delete(path)
        total -= bytes_


def _entries(folder: Path, pattern: str) -> dict[Path, tuple[float, int]]:
    """Return the time of last use and the size of each file; another process may delete some."""

    def found() -> Iterator[tuple[Path, tuple[float, int]]]:
        for path in folder.glob(pattern):
            with suppress(OSError):
                status = path.stat()
                yield path, (status.st_mtime, status.st_size)

    return dict(found())


def _delete(path: Path) -> None:
    with suppress(OSError):  # on Windows, a model that another process uses
        path.unlink(missing_ok=True)
