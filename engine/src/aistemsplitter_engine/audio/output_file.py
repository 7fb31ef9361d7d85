"""A file that is either written completely or deleted."""

import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from aistemsplitter_engine.errors import OutputError
from aistemsplitter_engine.messages import printable

_BUFFER = 1 << 17  # bytes; what is longer, such as a block of a WAV, is written without a copy


class OutputFile:
    """The file that FFmpeg or :class:`WavFile` writes into, which remembers the first error.

    Raises:
        OutputError: The file cannot be created.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._trouble: OSError | None = None
        self._complete = False
        try:
            self._file = path.open("wb", buffering=_BUFFER)
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OutputError(f"{printable(path)}: cannot be created: {reason}") from error

    @property
    def closed(self) -> bool:
        """True if the file is closed; FFmpeg's container does not use it then."""
        return self._file.closed

    # Called by FFmpeg, for which a negative result is an error, or within ``explained``.

    def write(self, data: bytes | memoryview) -> int:
        """Write the data; return the number of bytes."""
        try:
            return self._file.write(data)
        except OSError as error:
            return self._failure(error)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Seek, as for writing a length into the header."""
        try:
            return self._file.seek(offset, whence)
        except OSError as error:
            return self._failure(error)

    def tell(self) -> int:
        """Return the position in bytes."""
        return self._file.tell()

    def close(self) -> None:
        """Write the buffer and close; this may be the first to fail on a full disk."""
        self._file.close()
        self._complete = True

    def discard(self) -> None:
        """Close and delete the file, unless it is complete."""
        if self._complete:
            return
        with suppress(OSError):  # on a full disk, the buffer cannot be written
            self._file.close()
        with suppress(OSError):
            if stat.S_ISREG(self._path.lstat().st_mode):  # not a device such as /dev/full
                self._path.unlink()

    @contextmanager
    def explained(self) -> Iterator[None]:
        """Raise errors of encoding as OutputError, with the operating system's reason."""
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
