"""Where an attempt works: a folder of the split, in which the next attempt finds what it had."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

FOLDER = "work"  # in the data folder


@contextmanager
def of(data: Path, split_id: str, attempt: int) -> Iterator[Path]:
    """The split's folder for this attempt alone.

    Another attempt that was taken for dead may hold it still; then this one begins anew, elsewhere.
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
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return
    with lock:
        folder = root / split_id
        folder.mkdir(mode=0o700, exist_ok=True)
        yield folder


def remove(data: Path, split_id: str) -> None:
    """Delete what the split's attempts have left."""
    root = data / FOLDER
    shutil.rmtree(root / split_id, ignore_errors=True)
    with suppress(FileNotFoundError):
        (root / f"{split_id}.lock").unlink()


def splits(data: Path) -> list[str]:
    """The ids of the splits that have left something."""
    root = data / FOLDER
    names = {path.name.partition(".")[0] for path in root.iterdir()} if root.is_dir() else set()
    return sorted(names)
