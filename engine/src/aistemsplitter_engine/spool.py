"""Stems on their way to their files: raw, on disk, resumable, and readable while they grow.

The spool holds every stem as interleaved float32 at the model's rate, with a journal that says how
many samples are good. Encoders follow it at their own pace, or read it a second time where the gain
that all stems share is known only at the end; a run that was killed goes on behind what it holds.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aistemsplitter_engine.audio import BLOCK_FRAMES, FloatArray
from aistemsplitter_engine.errors import Cancelled

FRAME_BYTES = 8  # two float32
_JOURNAL = "journal.json"


class Spool:
    """The raw stems of one run in a folder of their own.

    ``run`` says what would have to be the same for another run to go on here: anything that JSON
    holds. With ``resume``, samples of such a run are kept, and its seed in place of the one given;
    all else in the folder is removed.
    """

    def __init__(
        self, folder: Path, stems: Sequence[str], run: dict[str, Any], seed: int, *, resume: bool
    ) -> None:
        self.folder, self._stems, self._run = folder, tuple(stems), run
        folder.mkdir(parents=True, exist_ok=True)
        self.frames, self.seed = (self._left_behind() if resume else None) or (0, seed)
        for path in folder.iterdir():
            if self.frames == 0 or path.suffix != ".f32":
                path.unlink()
        self._files = [self._open(self._path(stem)) for stem in self._stems]
        self._changed = threading.Condition()
        self._ended = self._failed = False

    def append(self, stems: FloatArray) -> None:
        """Add (stems, 2, n)."""
        for file, stem in zip(self._files, stems, strict=True):
            file.write(np.ascontiguousarray(stem.T, "<f4").data)
            file.flush()
        with self._changed:
            self.frames += stems.shape[2]
            self._changed.notify_all()
        self._write_journal()

    def end(self, *, failed: bool = False) -> None:
        """Tell followers that nothing is to come, or that all was in vain."""
        with self._changed:
            self._ended, self._failed = True, failed
            self._changed.notify_all()
        for file in self._files:
            with contextlib.suppress(OSError):  # a full disk was reported before
                file.close()

    def follow(self, stem: str) -> Iterator[FloatArray]:
        """Yield a stem's blocks (2, n) from its start, waiting for those that are to come."""
        read = 0
        with self._path(stem).open("rb") as file:
            while True:
                with self._changed:
                    while not self._ended and self.frames == read:
                        self._changed.wait()
                    if self._failed:
                        raise Cancelled("the stems were given up")
                    ready = self.frames
                if read == ready:
                    return
                while read < ready:
                    count = min(ready - read, BLOCK_FRAMES)
                    block = np.frombuffer(file.read(count * FRAME_BYTES), "<f4").reshape(count, 2)
                    yield np.ascontiguousarray(block.T)
                    read += count

    def remove(self) -> None:
        """Remove the folder and what is in it."""
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()

    def _path(self, stem: str) -> Path:
        return self.folder / f"{stem}.f32"

    def _open(self, path: Path) -> Any:
        file = path.open("r+b" if path.exists() else "wb")
        file.truncate(self.frames * FRAME_BYTES)  # a killed run may have written half a block more
        file.seek(0, os.SEEK_END)
        return file

    def _left_behind(self) -> tuple[int, int] | None:
        """Tell how many samples of the same run are here, and its seed."""
        try:
            journal = json.loads((self.folder / _JOURNAL).read_text())
            frames = int(journal["frames"])
            same = journal["run"] == json.loads(json.dumps(self._run))
            whole = all(
                self._path(stem).stat().st_size >= frames * FRAME_BYTES for stem in self._stems
            )
            return (frames, int(journal["seed"])) if same and whole else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_journal(self) -> None:
        journal = {"run": self._run, "seed": self.seed, "frames": self.frames}
        unfinished = self.folder / f"{_JOURNAL}.part"
        unfinished.write_text(json.dumps(journal))
        unfinished.replace(self.folder / _JOURNAL)
