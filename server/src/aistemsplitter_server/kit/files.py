"""Deleting folders as far as possible, even if some files cannot be deleted."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def remove_tree(path: Path | str, *, folder: int | None = None) -> None:
    """Delete a folder and everything in it that can be deleted.

    Args:
        folder: A descriptor of the folder that a relative path starts from.

    Raises:
        FileNotFoundError: The folder does not exist.
        OSError: Something is left; it names the first path that could not be deleted.
    """
    failed: list[OSError] = []

    def note(at: str, error: BaseException) -> None:
        assert isinstance(error, OSError)
        # Relative to a descriptor, the error names only the last part of the path.
        failed.append(OSError(error.errno, error.strerror, str(at)))

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, dir_fd=folder, onexc=lambda _call, at, error: note(at, error))
    else:
        shutil.rmtree(path, dir_fd=folder, onerror=lambda _call, at, info: note(at, info[1]))
    if failed:
        raise failed[0]
