"""Deleting files so that one that cannot be deleted does not keep the others."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def remove_tree(path: Path | str, *, folder: int | None = None) -> None:
    """Delete a folder with all that can be deleted in it.

    Args:
        folder: descriptor of the folder that a relative path starts from.

    Raises:
        FileNotFoundError: there is no such folder.
        OSError: something is left; names the first path that could not be deleted.
    """
    failed: list[OSError] = []

    def note(at: str, error: BaseException) -> None:
        assert isinstance(error, OSError)
        # Relative to a descriptor, the error itself names the last part of the path only.
        failed.append(OSError(error.errno, error.strerror, str(at)))

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, dir_fd=folder, onexc=lambda _call, at, error: note(at, error))
    else:
        shutil.rmtree(path, dir_fd=folder, onerror=lambda _call, at, info: note(at, info[1]))
    if failed:
        raise failed[0]
