"""Compiled networks in the user's cache folder, for the next start."""

from __future__ import annotations

import mmap
import os
from contextlib import suppress

import numpy as np
import openvino as ov

from aistemsplitter_engine.folders import cache_folder

_LENGTH = 8  # bytes at the end of a file that tell how long what precedes them is


class Kept:
    """A compiled network's place in the cache.

    ``name`` is of what, a dash, and made how: what was made of the same in another way is replaced.
    The network uses this object's memory, so it must live as long as the network.
    """

    def __init__(self, name: str) -> None:
        self._path = cache_folder() / "compiled" / f"{name}.blob"
        self._memory: mmap.mmap | None = None

    def exists(self) -> bool:
        """Tell whether something was kept."""
        return self._path.is_file()

    def load(self, core: ov.Core, options: dict[str, object]) -> ov.CompiledModel | None:
        """Take what an earlier start compiled; None where that is not there or of no use."""
        try:
            with self._path.open("rb") as file:
                # Mapped: files here are only ever replaced as a whole.
                memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            if int.from_bytes(memory[-_LENGTH:], "little") != len(memory) - _LENGTH:
                return None  # cut short; OpenVINO would read on behind its end
            content = np.frombuffer(memory, np.uint8)[:-_LENGTH]
            model = core.import_model(ov.Tensor(content, shared_memory=True), "CPU", options)
        except (OSError, ValueError, RuntimeError):  # or of another processor
            return None
        self._memory = memory
        if hasattr(mmap, "MADV_DONTNEED"):
            # What is computed with was rearranged; the rest of it is read again where it is needed.
            memory.madvise(mmap.MADV_DONTNEED)
        return model

    def keep(self, model: ov.CompiledModel) -> None:
        """Write a compiled model where the next start looks; it starts slower without room."""
        unfinished = self._path.with_suffix(f".{os.getpid()}.part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as file:
                file.write(content := model.export_model().getbuffer())
                file.write(len(content).to_bytes(_LENGTH, "little"))
            # Older ones go first, for their room, and what a killed process did not finish. One
            # that cannot be deleted must not keep the new one from being written.
            for other in self._path.parent.glob(f"{self._path.name.rsplit('-', 1)[0]}-*"):
                if other != unfinished:
                    with suppress(OSError):
                        other.unlink(missing_ok=True)
            unfinished.replace(self._path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
