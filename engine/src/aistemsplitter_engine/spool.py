"""Stems on their way to their files: raw, on disk, resumable, and readable while they grow.

The spool holds every stem as interleaved float32 at the model's rate, with a journal that says how
many samples are good. Encoders follow it at their own pace, or read it a second time where the gain
that all stems share is known only at the end; a run that was killed goes on behind what it holds.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from aistemsplitter_engine.audio import BLOCK_FRAMES, FloatArray
from aistemsplitter_engine.errors import Cancelled

_FRAME_BYTES = 8  # two float32
_JOURNAL = "journal.json"
_JOURNAL_EVERY = 1.0  # seconds; waiting for the disk after every block would take time


class Spool:
    """The raw stems of one run in a folder of their own, which exists.

    ``run`` says what would have to be the same for another run to go on here: anything that JSON
    holds. With ``resume``, samples of such a run are kept, and its seed in place of the one given;
    all else in the folder is removed.

    A context manager: what is in the folder is removed in the end, but for the samples where the
    run was cancelled.
    """

    def __init__(
        self,
        folder: Path,
        stems: Sequence[str],
        run: Mapping[str, object],
        seed: int,
        *,
        resume: bool,
    ) -> None:
        self.folder, self._stems = folder, tuple(stems)
        self._run = json.loads(json.dumps(run))  # as it will be read again
        self.frames, self.seed = (self._left_behind() if resume else None) or (0, seed)
        for path in folder.iterdir():
            if self.frames == 0 or path.suffix != ".f32":
                path.unlink()
        self._changed = threading.Condition()
        self._ended = self._failed = False
        self._journal_due = 0.0
        self._files: list[BinaryIO] = []

    def __enter__(self) -> Self:
        try:
            for stem in self._stems:
                self._files.append(file := self._path(stem).open("ab"))
                file.truncate(self.bytes_for(self.frames, 1))  # a killed run may have written more
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        ...
