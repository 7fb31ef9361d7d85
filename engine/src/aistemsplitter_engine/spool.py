"""Stems on their way to their files: raw, on disk, resumable, and readable while they grow.

The spool holds every stem as interleaved float32 at the model's rate, with a journal that says how
many samples are good. Encoders follow it at their own pace, or read it a second time where the gain
that all stems share is known only at the end; a run that was killed goes on behind what it holds.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from aistemsplitter_engine.audio import BLOCK_FRAMES, FloatArray, interleaved
from aistemsplitter_engine.errors import Cancelled, EngineError, OutputError

FRAME_BYTES = 8  # two float32
_JOURNAL = "journal.json"
_JOURNAL_SHARE = 10  # of the time at most one part in ten goes into waiting for the disk


def copy_unfinished(folder: Path, to: Path) -> None:
    """Copy what a run in a folder holds so far to another, so that a second run can go on there.

    The first one may go on meanwhile, and need not be asked: it only adds, and the journal, which
    is copied first, tells how much of the rest is good.

    Raises:
        OSError: it cannot be copied; what was is harmless.
    """
    to.mkdir(parents=True, exist_ok=True)
    for path in [folder / _JOURNAL, *folder.glob("*.f32")]:
        shutil.copyfile(path, to / path.name)


class Spool:
    """The raw stems of one run in a folder of their own.

    ``run`` says what would have to be the same for another run to go on here: anything that JSON
    holds. With ``resume``, samples of such a run are kept, and its seed in place of the one given;
    all else in the folder is removed.

    A context manager that makes the folder and removes it. The samples of a run that was cancelled,
    or failed for a reason that may pass (a full disk, no memory), stay for another to resume.
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
        self.folder = folder
        self._paths = {stem: folder / f"{stem}.f32" for stem in stems}
        self._run = json.loads(json.dumps(run))  # as it is read again
        self.frames, self.seed = (self._left_behind() if resume else None) or (0, seed)
        self._files: list[BinaryIO] = []
        self._journal_due = 0.0
        self._changed = threading.Condition()
        self._ended = self._failed = False

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if self.frames == 0 or path.suffix != ".f32":
                path.unlink()
        try:
            for path in self._paths.values():
                self._files.append(path.open("ab"))
                self._files[-1].truncate(self.frames * FRAME_BYTES)  # a kill may have left more
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
        self.end(failed=kind is not None)
        if error is None or self.frames == 0 or _is_final(error):
            self._remove()
        else:
            self._remove_all_but_samples()

    def append(self, stems: FloatArray) -> None:
        """Add (stems, 2, n)."""
        for file, stem in zip(self._files, stems, strict=True):
            file.write(interleaved(stem).astype("<f4", copy=False).data)
            file.flush()
        with self._changed:
            self.frames += stems.shape[2]
            self._changed.notify_all()
        if (began := time.monotonic()) >= self._journal_due:
            self._write_journal()
            self._journal_due = began + _JOURNAL_SHARE * (time.monotonic() - began)

    def end(self, *, failed: bool = False) -> None:
        """Tell followers that nothing is to come, or that all was in vain."""
        with self._changed:
            first, self._ended = not self._ended, True
            self._failed = self._failed or failed
            self._changed.notify_all()
        if first:
            with suppress(OSError):  # a full disk was reported before
                self._write_journal()
            for file in self._files:
                with suppress(OSError):
                    file.close()

    def follow(self, stem: str) -> Iterator[FloatArray]:
        """Yield a stem's blocks (2, n) from its start, waiting for those that are to come.

        Raises:
            Cancelled: the run has failed.
        """
        read = 0
        with self._paths[stem].open("rb") as file:
            while count := self._ready(read):
                block = np.frombuffer(file.read(count * FRAME_BYTES), "<f4").reshape(count, 2)
                yield np.ascontiguousarray(block.T)
                read += count

    def _ready(self, read: int) -> int:
        """Wait for more samples than ``read``; return how many of them to read, 0 at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.frames > read)
            if self._failed:
                raise Cancelled("the stems were given up")
            return min(self.frames - read, BLOCK_FRAMES)

    def _left_behind(self) -> tuple[int, int] | None:
        """Tell how many samples of the same run are here, and its seed."""
        try:
            journal = json.loads((self.folder / _JOURNAL).read_text())
            frames, seed = int(journal["frames"]), int(journal["seed"])
            held = min(path.stat().st_size for path in self._paths.values())
            same = journal["run"] == self._run and held >= frames * FRAME_BYTES
            return (frames, seed) if same else None
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _write_journal(self) -> None:
        for file in self._files:
            os.fsync(file.fileno())  # or after a loss of power, it might count what never was
        unfinished = self.folder / f"{_JOURNAL}.part"
        unfinished.write_text(
            json.dumps({"run": self._run, "seed": self.seed, "frames": self.frames})
        )
        unfinished.replace(self.folder / _JOURNAL)

    def _remove_all_but_samples(self) -> None:
        """Remove finished stems: a resumed run encodes them again, and the disk may be full."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.suffix != ".f32" and path.name != _JOURNAL:
                    path.unlink()

    def _remove(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


def _is_final(error: BaseException) -> bool:
    """Return whether resuming would fail alike: the song is damaged or has changed."""
    return isinstance(error, EngineError) and not isinstance(error, Cancelled | OutputError)
