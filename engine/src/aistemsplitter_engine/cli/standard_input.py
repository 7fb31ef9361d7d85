"""A song from standard input, stored in a temporary file, since a long song is decoded twice."""

from __future__ import annotations

import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, TYPE_CHECKING, cast

from aistemsplitter_engine.errors import AudioError, Cancelled

if TYPE_CHECKING:
    from aistemsplitter_engine.audio import AudioFile

STANDARD_INPUT = Path("-")
NAME = "standard input"
MOST = 16 << 30  # bytes: more than a day of WAV
_PIECE = 1 << 20  # bytes
_POLL_SECONDS = 0.05


@contextmanager
def standard_input(stop: threading.Event) -> Iterator[AudioFile]:
    """Read standard input to its end, and yield it as an audio file.

    Raises:
        AudioError: It is a terminal, larger than ``MOST``, or not audio, or cannot be stored.
        Cancelled: ``stop`` was set.
    """
    if sys.stdin.isatty():
        raise AudioError(f"{NAME}: is a terminal; pipe a song into it")
    from aistemsplitter_engine.audio import AudioFile

    with ExitStack() as stack:
        try:
            file = stack.enter_context(tempfile.TemporaryFile())
            _store(cast(BufferedReader, sys.stdin.buffer), file, stop)
            file.flush()
        except OSError as error:
            raise AudioError(
                f"{NAME}: cannot be copied to {tempfile.gettempdir()}: {error.strerror or error};"
                " TMPDIR names another folder"
            ) from error
        yield AudioFile(NAME, file.fileno())


def _store(stream: BufferedReader, file: IO[bytes], stop: threading.Event) -> None:
    """Copy the stream in a thread: reading it would not notice that ``stop`` is set."""
    failed: list[Exception] = []

    def copy() -> None:
        left = MOST
        try:
            while not stop.is_set() and (piece := stream.read1(_PIECE)):
                left -= len(piece)
                if left < 0:
                    raise AudioError(f"{NAME}: is larger than {MOST >> 30} GiB; save it as a file")
                file.write(piece)
        except Exception as error:
            failed.append(error)

    reader = threading.Thread(target=copy, name="standard input", daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(_POLL_SECONDS)
        if stop.is_set():
            raise Cancelled(f"{NAME}: stopped on request")
    if failed:
        raise failed[0]
