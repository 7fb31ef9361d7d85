"""Opening files without following links, private files, and deleting folders."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys
from pathlib import Path
from secrets import token_hex
from typing import BinaryIO

# Without blocking on a named pipe that someone put there.
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def open_regular(path: Path | str, folder: int | None = None) -> BinaryIO:
    """Return the file, open for reading and unbuffered.

    Args:
        folder: A descriptor of the folder that a relative path starts from.

    Raises:
        OSError: Among others, ELOOP for a link, and ENOENT for anything but a regular file.
    """
    descriptor = os.open(path, READ, dir_fd=folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise FileNotFoundError(errno.ENOENT, "no regular file", str(path))
    return os.fdopen(descriptor, "rb", buffering=0)


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only this user can read, or replace it; it is never there in part."""
    draft = path.with_name(f".{path.name}.{token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink()
        raise


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
