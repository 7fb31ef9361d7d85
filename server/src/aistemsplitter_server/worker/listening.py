"""The job that makes the listening copies of a split, while others are separated."""

from __future__ import annotations

import json
import logging
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.kit.files import remove_tree
from aistemsplitter_server.splits import listening, options
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.storage import keys
from aistemsplitter_server.storage.interface import Missing
from aistemsplitter_server.worker import confined_child, cutting, shortages
from aistemsplitter_server.worker.attempt import Draining
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.workers import queries as workers

logger = logging.getLogger(__name__)

FOLDER = "listening"  # in the data folder, with a folder for each worker that makes copies
PERIOD = 2.0  # seconds between two checks whether the copies are still needed
HELD = 60.0  # seconds that a job waits while this machine lacks something
FAULT = "The player could not be prepared."


class _Unwanted(Exception):
    """The split's stems are deleted."""


def listen(context: WorkerContext, split_id: str) -> None:
    """Make the listening copies of a split."""
    with context.database.read() as session:
        split = listening.wanted(session, split_id)
    if split is None or not context.shortages.wait(context.stopping, HELD):
        return  # if they are still wanted, reconciliation queues the copies again
    began = time.monotonic()
    try:
        _make(context, split)
    except Draining:
        raise
    except _Unwanted:
        logger.info("%s: no listening copies, because its stems are deleted", split_id)
    except Exception as error:
        if (shortage := shortages.find(error, context.settings.data)) is not None:
            context.shortages.begin(shortage)
            return  # reconciliation queues the copies again
        logger.exception("%s: no listening copies", split_id)
        context.write(partial(listening.fail, split_id=split_id, reason=FAULT))
    else:
        seconds = round(time.monotonic() - began, 3)
        logger.info("listening copies", extra={"split_id": split_id, "seconds": seconds})


def left_behind(context: WorkerContext) -> list[str]:
    """Return the names of the folders of workers that were killed."""
    root = context.settings.data / FOLDER
    names = [folder.name for folder in root.iterdir()] if root.is_dir() else []
    with context.database.read() as session:
        living = workers.alive_ids(session, context.settings.data)
    return [name for name in names if name not in living]


def remove(context: WorkerContext, name: str) -> None:
    """Delete one of these folders.

    Raises:
        OSError: Something is left.
    """
    with suppress(FileNotFoundError):
        remove_tree(context.settings.data / FOLDER / name)


def _make(context: WorkerContext, split: Split) -> None:
    assert split.stored_attempt is not None
    number = split.stored_attempt
    with _folder(context) as folder:
        with ExitStack() as opened:
            stems = {
                name: opened.enter_context(
                    context.storage.local_path(keys.stem(split.id, number, name, split.extension))
                )
                for name in split.stems
            }
            song = None
            with suppress(Missing):  # a song that was fetched, or whose upload has expired
                song = opened.enter_context(
                    context.storage.local_path(keys.source(split.id, split.upload_id))
                )
            copies = {
                name: opened.enter_context((folder / f"{name}.pieces").open("w+b"))
                for name in (*stems, cutting.MIXTURE)
            }
            index = opened.enter_context((folder / cutting.INDEX).open("w+b"))
            files = {name: opened.enter_context(path.open("rb")) for name, path in stems.items()}
            original = None if song is None else opened.enter_context(song.open("rb")).fileno()
            task = cutting.Task(
                copies={name: file.fileno() for name, file in copies.items()},
                index=index.fileno(),
                stems={name: file.fileno() for name, file in files.items()},
                song=original,
                gain=split.gain or 1.0,
                whole=[*listening.whole(split)],
                seconds=options.separated_seconds(split),
            )
            _cut(context, split.id, task)
        _check_index(folder, split.stems)
        _store(context, split.id, number, folder)


def _cut(context: WorkerContext, split_id: str, task: cutting.Task) -> None:
    """Run the task in a child process, which is killed once its result is no longer needed."""
    files = [*task.copies.values(), task.index, *task.stems.values()]
    due = time.monotonic() + PERIOD

    def check() -> None:
        nonlocal due
        if context.stopping.is_set():
            raise Draining
        if time.monotonic() >= due:
            due = time.monotonic() + PERIOD
            _check(context, split_id)

    confined_child.run(
        cutting.__name__,
        cutting.line(task),
        files if task.song is None else [*files, task.song],
        seconds=2 * task.cpu_seconds,
        check=check,
    )


def _check_index(folder: Path, stems: Sequence[str]) -> None:
    """Check the index, which a hostile file may have corrupted; delete copies that are not in it.

    Raises:
        ValueError: Among others, the index names other tracks than were asked for.
    """
    index = json.loads((folder / cutting.INDEX).read_bytes())
    names = [track["name"] for track in index["tracks"]]
    if names not in ([*stems], [*stems, cutting.MIXTURE]):
        raise ValueError("the index names other tracks")
    if cutting.MIXTURE not in names:
        (folder / f"{cutting.MIXTURE}.pieces").unlink()


def _check(context: WorkerContext, split_id: str) -> None:
    # checked again the next time
    with suppress(SQLAlchemyError), context.database.read() as session:
        if listening.wanted(session, split_id) is None:
            raise _Unwanted


def _store(context: WorkerContext, split_id: str, number: int, folder: Path) -> None:
    """Store the copies beside the stems, the index last; delete them if the stems are deleted."""
    stored = []
    size = sum(path.stat().st_size for path in folder.glob("*.pieces"))
    try:
        for path in sorted(folder.glob("*.pieces")):
            stored.append(keys.pieces(split_id, number, path.stem))
            context.put_file(stored[-1], path)
        stored.append(keys.player(split_id, number))
        context.put_file(stored[-1], folder / cutting.INDEX)
        if not context.write(partial(listening.ready, split_id=split_id, size=size)):
            raise _Unwanted
    except BaseException:
        for key in stored:
            context.storage.delete_prefix(key)
        raise
    context.storage.delete_prefix(keys.fetched(split_id))


@contextmanager
def _folder(context: WorkerContext) -> Iterator[Path]:
    """Yield an empty folder. A worker makes the copies of one split at a time."""
    folder = context.settings.data / FOLDER / context.worker_id
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
