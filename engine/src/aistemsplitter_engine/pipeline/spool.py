"""The spool: a run's raw stems, which encoders read while it grows, and runs resume from.

Encoders read it at their own pace, and a second time if the common gain of all stems, known only at
the end, is not 1. A short run keeps its stems in memory. Those of a longer one move to disk: every
stem as interleaved float32 at the model's rate, and a journal of how many samples are valid. A run
that was killed continues after these samples.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import threading
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np

from aistemsplitter_engine.arrays import FloatArray
from aistemsplitter_engine.audio import BLOCK_FRAMES, interleaved
from aistemsplitter_engine.errors import Cancelled, EngineError, OutputError
from aistemsplitter_engine.pipeline.memory import FRAME_BYTES, Budget

_JOURNAL = "journal.json"
_NO_SAMPLES = np.empty((2, 0), np.float32)
_JOURNAL_PAUSE = 10  # times what writing it took: at most a tenth of the time is spent on that
# Seconds of separation that a kill may lose: with 1.4 MB per second of a song, the disk would limit
# a fast GPU, on which a song takes less. A run that is cancelled or fails loses nothing.
_IN_MEMORY = 2.0


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


class _HeldStems:
    """Stems in memory, as the blocks that were appended, for several readers and one writer."""

    def __init__(self) -> None:
        self.blocks: list[FloatArray] = []
        self._starts: list[int] = []
        self._stop = 0
        self._budget = Budget()

    def append(self, stems: FloatArray) -> bool:
        """Hold samples of all stems (stems, 2, n); return False if the memory budget is spent."""
        if not self._budget.take(stems.nbytes):
            return False
        self.blocks.append(stems)
        self._starts.append(self._stop)
        self._stop += stems.shape[2]
        return True

    def read(self, stem: int, start: int, most: int) -> FloatArray:
        """Return at least one and up to ``most`` samples (2, n) of a stem, as a view."""
        number = bisect_right(self._starts, start) - 1
        offset = start - self._starts[number]
        return self.blocks[number][stem, :, offset : offset + most]

    def release(self) -> None:
        """Return the memory to the budget. Readers may still hold the stems for a moment."""
        self._budget.release()


class Spool:
    """The raw stems of one run, in memory or in a folder of their own.

    ``run`` holds, as JSON values, all that another run must have in common to continue here. With
    ``resume``, the samples and the seed of such a run are kept; everything else in the folder is
    deleted.

    A context manager that creates the folder and deletes it. The samples of a run that is
    cancelled, or fails for a temporary reason (a full disk, no memory), are kept on disk for
    another run to resume, if there is room.
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
        self._held: _HeldStems | None = _HeldStems()
        self._move_due = math.inf
        self._files: list[BinaryIO] = []
        self._journal_due = 0.0
        self._lock = threading.Lock()
        self.on_change: list[Callable[[], None]] = []  # called when samples or the end have come
        self._ended = self._failed = False

    def __enter__(self) -> Self:
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            if self.frames == 0 or path.suffix != ".f32":
                path.unlink()
        self._move_due = time.monotonic() + _IN_MEMORY
        if self.frames > 0:
            try:
                self._move_to_disk()
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
        try:
            if error is None or self.frames == 0 or _is_final(error) or not self._kept():
                self._remove()
        finally:
            self._release()

    def append(self, stems: FloatArray) -> None:
        """Append samples of all stems (stems, 2, n). They must not change afterwards."""
        if self._held and (time.monotonic() >= self._move_due or not self._held.append(stems)):
            self._move_to_disk()
        if self._held is None:
            self._write(stems)
        with self._lock:
            self.frames += stems.shape[2]
        self._notify()
        if self._files and (began := time.monotonic()) >= self._journal_due:
            self._write_journal()
            self._journal_due = began + _JOURNAL_PAUSE * (time.monotonic() - began)

    def end(self, *, failed: bool = False) -> None:
        """Mark the spool as complete, or as failed, for those that read it."""
        with self._lock:
            first, self._ended = not self._ended, True
            self._failed = self._failed or failed
        self._notify()
        if first and self._files:
            with suppress(OSError):  # a full disk has been reported
                self._write_journal()
            self._close_files()

    def follow(self, stem: str) -> Iterator[FloatArray]:
        """Yield a stem's blocks (2, n) from its start to its end.

        A block is empty if there are no more samples yet; ``on_change`` is called when there are.
        Blocks may be views of the spool's memory, and must not be changed.

        Raises:
            Cancelled: The run has failed.
        """
        path = self._paths[stem]
        number = [*self._paths].index(stem)
        read = 0
        while (count := self._ready(read)) is not None:
            if (held := self._held) is None:  # else it stays complete, though it may be on disk too
                break
            block = held.read(number, read, count) if count else _NO_SAMPLES
            yield block
            read += block.shape[1]
        if count is None:
            return
        with path.open("rb") as file:
            file.seek(read * FRAME_BYTES)
            while (count := self._ready(read)) is not None:
                block = np.frombuffer(file.read(count * FRAME_BYTES), "<f4").reshape(count, 2)
                yield np.ascontiguousarray(block.T)
                read += count

    def _ready(self, read: int) -> int | None:
        """Return how many samples to read after ``read``; None at the end."""
        with self._lock:
            if self._failed:
                raise Cancelled("the run has failed")
            if self._ended and self.frames == read:
                return None
            return min(self.frames - read, BLOCK_FRAMES)

    def _notify(self) -> None:
        for changed in self.on_change:
            changed()

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

    def _move_to_disk(self) -> None:
        """Write the samples that are held in memory, and from here on all others, to disk."""
        assert self._held is not None
        valid = 0 if self._held.blocks else self.frames * FRAME_BYTES
        try:
            for path in self._paths.values():
                self._files.append(path.open("ab"))
                self._files[-1].truncate(valid)  # a killed run may have left more
            for block in self._held.blocks:
                self._write(block)
        except BaseException:
            self._close_files()
            raise
        self._release()

    def _release(self) -> None:
        """Release the stems that are held in memory."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def _write(self, stems: FloatArray) -> None:
        for file, stem in zip(self._files, stems, strict=True):
            file.write(interleaved(stem).astype("<f4", copy=False).data)
            file.flush()

    def _close_files(self) -> None:
        for file in self._files:
            with suppress(OSError):
                file.close()
        self._files.clear()

    def _kept(self) -> bool:
        """Return whether the samples are on disk, after moving them there if necessary."""
        self._remove_all_but_samples()
        if self._held is None:
            return True
        try:
            self._move_to_disk()
            self._write_journal()
        except OSError:  # such as a full disk
            return False
        finally:
            self._close_files()
        return True

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
