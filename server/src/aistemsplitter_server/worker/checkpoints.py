"""Checkpoints of long songs in the storage, from which another machine resumes.

The raw stems of an unfinished run only grow, and its journal counts how many samples are valid. So
a checkpoint stores what each stem has grown by since the last one, and then an index of all of it.
Every attempt stores under a prefix of its own, since one that was taken for dead may wake up again.
"""

from __future__ import annotations

import json
import logging
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aistemsplitter_server.kit.setting_types import DISK
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.worker import work_folder
from aistemsplitter_server.worker.attempt import Attempt
from aistemsplitter_server.worker.context import WorkerContext

logger = logging.getLogger(__name__)

LONG = 20 * 60.0  # seconds; a shorter song starts again
EVERY = 180.0  # seconds between two checkpoints
CHUNK = 64 << 20  # bytes of one object
FRAME = 8  # bytes: two channels of float32
LARGEST_INDEX = 1 << 20  # bytes
ENDING = 5.0  # seconds that the last checkpoint is waited for; the split is released after it
JOURNAL, SUFFIX = "journal.json", ".f32"  # of the engine's files
INDEX = "index.json"


@contextmanager
def kept(context: WorkerContext, attempt: Attempt, folder: Path) -> Iterator[None]:
    """Resume from the newest checkpoint of a long song, and save others until the block ends.

    On disk the folder itself is enough: it is not shared with other machines.

    Args:
        folder: The attempt's folder.
    """
    if context.settings.storage_address == DISK or attempt.split.duration_seconds < LONG:
        yield
        return
    checkpoints = Checkpoints(context, attempt, folder)
    checkpoints.restore()
    stopping = threading.Event()
    saving = threading.Thread(
        target=_save_often,
        args=(checkpoints, stopping, context.stopping),
        name="checkpoint",
        daemon=True,
    )
    saving.start()
    try:
        yield
    finally:
        stopping.set()
        saving.join(ENDING)  # what it stores later is swept


def _save_often(
    checkpoints: Checkpoints, stopping: threading.Event, leaving: threading.Event
) -> None:
    while not stopping.wait(EVERY):
        _try_to_save(checkpoints)
    if leaving.is_set():
        _try_to_save(checkpoints)  # for the worker that resumes


def _try_to_save(checkpoints: Checkpoints) -> None:
    try:
        checkpoints.save()
    except (OSError, ValueError, KeyError) as error:
        logger.warning("no checkpoint was saved: %s", error)


class Checkpoints:
    """The checkpoints of one attempt.

    Attributes:
        frames: Samples of each stem that the last one holds.
    """

    def __init__(self, context: WorkerContext, attempt: Attempt, folder: Path) -> None:
        from aistemsplitter_engine.pipeline.write import WORK  # imports the engine

        self.frames = 0
        self._storage = context.storage
        self._split_id = attempt.split.id
        self._number = attempt.number
        self._work = folder / work_folder.STEMS / WORK
        self._piece = folder / "chunk"
        self._journal: dict[str, Any] = {}  # the engine's, of the last checkpoint
        self._chunks: dict[str, list[str]] = {}  # keys by stem, in order

    def save(self) -> None:
        """Store what the stems have grown by, if they have.

        Raises:
            OSError: The run has no journal yet, or the storage failed.
        """
        journal = json.loads((self._work / JOURNAL).read_text())
        if any(journal[name] != self._journal.get(name) for name in ("run", "seed")):
            self.frames, self._chunks = 0, {}  # the engine has begun again
        frames = int(journal["frames"])
        if frames <= self.frames:
            return
        chunks = {
            path.stem: [*self._chunks.get(path.stem, ()), *self._store(path, frames)]
            for path in sorted(self._work.glob(f"*{SUFFIX}"))
        }
        self._piece.write_text(json.dumps({"journal": journal, "chunks": chunks}))
        self._storage.put_file(self._key(INDEX), self._piece)
        self.frames, self._journal, self._chunks = frames, journal, chunks
        logger.info("checkpoint", extra={"frames": frames})

    def restore(self) -> None:
        """Restore the newest checkpoint, unless this machine has got further. Never raises."""
        try:
            index = self._newest()
            if index is None or self._local_frames() >= int(index["journal"]["frames"]):
                return
            self._download(index)
        except (OSError, ValueError, KeyError, Missing) as error:
            logger.warning("the song starts again: no checkpoint was restored: %s", error)
            shutil.rmtree(self._work, ignore_errors=True)

    def _store(self, path: Path, frames: int) -> Iterator[str]:
        """Store a stem's samples after those of the last checkpoint; yield the objects' keys."""
        with path.open("rb") as file:
            file.seek(self.frames * FRAME)
            while (left := frames * FRAME - (start := file.tell())) > 0:
                piece = file.read(min(CHUNK, left))
                if not piece:
                    raise ValueError(f"{path.name} is shorter than its journal says")
                self._piece.write_bytes(piece)
                key = self._key(f"{path.stem}-{start // FRAME}{SUFFIX}")
                self._storage.put_file(key, self._piece)
                yield key

    def _newest(self) -> dict[str, Any] | None:
        attempts = {int(name) for name in self._storage.names(keys.checkpoints(self._split_id))}
        for number in sorted(attempts, reverse=True):
            try:
                with self._storage.open(keys.checkpoint(self._split_id, number, INDEX)) as file:
                    index: dict[str, Any] = json.loads(file.read(LARGEST_INDEX))
            except Missing:  # that attempt ended before its first one was complete
                continue
            return index
        return None

    def _local_frames(self) -> int:
        try:
            return int(json.loads((self._work / JOURNAL).read_text())["frames"])
        except FileNotFoundError:
            return 0

    def _download(self, index: dict[str, Any]) -> None:
        journal, chunks = index["journal"], index["chunks"]
        frames = int(journal["frames"])
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True)
        for stem, stored in chunks.items():
            path = self._work / f"{keys.segments(stem)[0]}{SUFFIX}"
            with path.open("wb") as file:
                for key in stored:
                    with self._storage.open(key) as chunk:
                        shutil.copyfileobj(chunk, file, 1 << 20)
            if path.stat().st_size != frames * FRAME:
                raise ValueError(f"the checkpoint of {stem} is not complete")
        (self._work / JOURNAL).write_text(json.dumps(journal))
        self.frames, self._journal, self._chunks = frames, journal, chunks
        logger.info("resumed from a checkpoint", extra={"frames": frames})

    def _key(self, name: str) -> str:
        return keys.checkpoint(self._split_id, self._number, name)
