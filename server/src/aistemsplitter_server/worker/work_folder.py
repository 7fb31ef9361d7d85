"""The folder where an attempt works, which the next attempt resumes from."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from aistemsplitter_server.kit.files import remove_tree

logger = logging.getLogger(__name__)

FOLDER = "work"  # in the data folder
STEMS = "stems"  # in the split's folder


@contextmanager
def of(data: Path, split_id: str, attempt: int) -> Iterator[Path]:
    """Yield the split's folder, for this attempt alone.

    An earlier attempt that was taken for dead may still hold it and wake up again. Then this one
    uses another folder, with a copy of the unfinished run.
    """
    root = data / FOLDER
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = FileLock(root / f"{split_id}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        folder = root / f"{split_id}.{attempt}"
        folder.mkdir(mode=0o700, exist_ok=True)
        try:
            _adopt(root / split_id, folder)
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with lock:
        folder = root / split_id
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder


def _adopt(held: Path, folder: Path) -> None:
    from aistemsplitter_engine.pipeline.spool import copy_unfinished
    from aistemsplitter_engine.pipeline.write import WORK

    try:
        copy_unfinished(held / STEMS / WORK, folder / STEMS / WORK)
    except OSError as error:  # there may be nothing yet, or no room
        logger.info("%s starts over: %s", folder.name, error.strerror)


def remove(data: Path, split_id: str) -> None:
    """Delete what the split's attempts have left.

    Raises:
        OSError: Something is left.
    """
    failed: OSError | None = None
    root = data / FOLDER
    for path in root.iterdir() if root.is_dir() else ():
        if path.name.partition(".")[0] != split_id:
            continue
        try:
            with suppress(FileNotFoundError):
                if path.is_dir() and not path.is_symlink():
                    remove_tree(path)
                else:
                    path.unlink()
        except OSError as error:
            failed = failed or error
    if failed:
        raise failed


def splits(data: Path) -> list[str]:
    """Return the ids of splits that have left something."""
    root = data / FOLDER
    names = {path.name.partition(".")[0] for path in root.iterdir()} if root.is_dir() else set()
    return sorted(name for name in names if name.startswith("split_"))
