"""The spool: a run's raw stems on disk, which encoders read while it grows, and runs resume from.

It holds every stem as interleaved float32 at the model's rate, and a journal of how many samples
are valid. Encoders read it at their own pace, and a second time if the common gain of all stems,
known only at the end, is not 1. A run that was killed continues after the samples that it holds.
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

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio import BLOCK_FRAMES, interleaved
from aistemsplitter_engine.errors import Cancelled, EngineError, OutputError

FRAME_BYTES = 8  # two float32
_JOURNAL = "journal.json"
_JOURNAL_PAUSE = 10  # times what writing it took: at most a tenth of the time is spent on that


def copy_unfinished(folder: Path, to: Path) -> None:
    """Copy the spool of an unfinished run to another folder, where a second run can resume it.

    The first run may continue meanwhile: it only appends, and the journal, which is copied first,
    counts only samples that are copied after it.

    Raises:
        OSError: A file cannot be copied. Those that were copied are harmless.
    """
    to.mkdir(parents=True, exist_ok=True)
    for path in [folder / _JOURNAL, *folder.glob("*.f32")]:
        shutil.copyfile(path, to / path.name)


class Spool:
    """The raw stems of one run, in a folder of their own.

    ``run`` holds, as JSON values, all that another run must have in common to continue here. With
    ``resume``, the samples and the seed of such a run are kept; everything else in the folder is
    deleted.

    A context manager that creates the folder and deletes it. The samples of a run that is
    cancelled, or fails for a temporary reason (a full disk, no memory), are kept for another run to
    resume.
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
        self._run = json.loads(json.dumps(run))  # as it will be read
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
                # A killed run may have left more.
                self._files[-1].truncate(self.frames * FRAME_BYTES)
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
        """Append samples of all stems (stems, 2, n)."""
        for file, stem in zip(self._files, stems, strict=True):
            file.write(interleaved(stem).astype("<f4", copy=False).data)
            file.flush()
        with self._changed:
            self.frames += stems.shape[2]
            self._changed.notify_all()
        if (began := time.monotonic()) >= self._journal_due:
            self._write_journal()
            self._journal_due = began + _JOURNAL_PAUSE * (time.monotonic() - began)

    def end(self, *, failed: bool = False) -> None:
        """Mark the spool as complete, or as failed, for those that read it."""
        with self._changed:
            first, self._ended = not self._ended, True
            self._failed = self._failed or failed
            self._changed.notify_all()
        if first:
            with suppress(OSError):  # a full disk has been reported
                self._write_journal()
            for file in self._files:
                with suppress(OSError):
                    file.close()

    def follow(self, stem: str) -> Iterator[FloatArray]:
        """Yield a stem's blocks (2, n) from its start, waiting for more until the end.

        Raises:
            Cancelled: The run has failed.
        """
        read = 0
        with self._paths[stem].open("rb") as file:
            while count := self._ready(read):
                block = np.frombuffer(file.read(count * FRAME_BYTES), "<f4").reshape(count, 2)
                yield np.ascontiguousarray(block.T)
                read += count

    def _ready(self, read: int) -> int:
        """Wait for more than ``read`` samples; return how many to read next, 0 at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._ended or self.frames > read)
            if self._failed:
                raise Cancelled("the run has failed")
            return min(self.frames - read, BLOCK_FRAMES)

    def _left_behind(self) -> tuple[int, int] | None:
        """Return the number of samples that an equal run has left here, and its seed."""
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
            # Without it, the journal might count samples that a power failure has lost.
            os.fsync(file.fileno())
        unfinished = self.folder / f"{_JOURNAL}.part"
        unfinished.write_text(
            json.dumps({"run": self._run, "seed": self.seed, "frames": self.frames})
        )
        unfinished.replace(self.folder / _JOURNAL)

    def _remove_all_but_samples(self) -> None:
        """Delete encoded stems: a resumed run encodes them again, and the disk may be full."""
        with suppress(OSError):
            for path in self.folder.iterdir():
                if path.suffix != ".f32" and path.name != _JOURNAL:
                    path.unlink()

    def _remove(self) -> None:
        for path in self.folder.iterdir():
            path.unlink()
        self.folder.rmdir()


def _is_final(error: BaseException) -> bool:
    """Return whether resuming would fail too: the song is damaged or has changed."""
    return isinstance(error, EngineError) and not isinstance(error, Cancelled | OutputError)
