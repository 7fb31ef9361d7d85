"""A file being written, which is complete or is not there."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from aistemsplitter_engine.errors import OutputError
from aistemsplitter_engine.messages import printable


class OutputFile:
    """What FFmpeg writes into: a file that has no name and remembers what went wrong first.

    Raises:
        OutputError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._trouble: OSError | None = None
        self._complete = False
        try:
            self._file = path.open("wb", buffering=1 << 18)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OutputError(f"{printable(path)}: cannot be made: {reason}") from error

    @property
    def closed(self) -> bool:
        """Whether it was closed; FFmpeg's container then leaves it alone."""
        return self._file.closed

    # FFmpeg calls these two, and takes a negative number for a failure.

    def write(self, data: bytes) -> int:
        """Write all of it."""
        try:
            return self._file.write(data)
        except OSError as error:
            return self._failure(error)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Go elsewhere, as writing a length into a header needs."""
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            return self._failure(error)

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()

    def close(self) -> None:
        """Write what is buffered; a full disk may show only now."""
        self._file.close()
        self._complete = True

    def discard(self) -> None:
        """Close and remove it, unless it was completed."""
        if self._complete:
            return
        with suppress(OSError):  # what is buffered may not fit, and need not
            self._file.close()
        with suppress(OSError):
            if stat.S_ISREG(self._path.lstat().st_mode):  # not /dev/full, say
                self._path.unlink()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Turn failures of encoding into an OutputError, with the operating system's reason."""
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            cause = self._trouble or error
            reason = getattr(cause, "strerror", None) or str(cause)
            raise OutputError(f"{printable(self._path)}: cannot be written: {reason}") from cause
        if self._trouble is not None:
            reason = self._trouble.strerror or str(self._trouble)
            raise OutputError(f"{printable(self._path)}: cannot be written: {reason}")

    def _failure(self, error: OSError) -> int:
        self._trouble = self._trouble or error
        return -(error.errno or 1)
