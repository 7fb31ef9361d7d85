"""A download under its temporary name: written and hashed in threads while the next bytes come.

Reading a socket, writing a file and hashing each take about as long, and all let go of the
interpreter's lock meanwhile. A few batches may be on their way, so that none of the three waits
whenever another is held up; their number bounds the memory.
"""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from aistemsplitter._digests import Announced

AHEAD = 6  # writes and updates of the hash that may be waiting, each of one batch


def _thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1)  # one alone, so that the order stays


@dataclass(slots=True)
class Part:
    """The file, and what is known of the whole.

    What it does blocks, except ``append``, and ``discard``, which waits for one batch at most.

    Attributes:
        written: bytes handed over; they are in the file once it is settled.
        total: bytes of the whole, None while unknown.
        validator: ETag or time by which the server knows whether the rest is of the same file.
    """

    path: Path
    file: IO[bytes] = field(default_factory=io.BytesIO)
    written: int = 0
    total: int | None = None
    validator: str | None = None
    announced: Announced | None = None
    hash: Any = field(default=None, repr=False)
    _writer: ThreadPoolExecutor = field(default_factory=_thread, repr=False)
    _hasher: ThreadPoolExecutor = field(default_factory=_thread, repr=False)
    _pending: list[Future[None]] = field(default_factory=list, repr=False)

    def open(self) -> None:
        """Make the file; the path must be new."""
        self.file = self.path.open("xb", buffering=0)

    @property
    def busy(self) -> bool:
        """Whether so much is waiting that no more should be appended."""
        return sum(not future.done() for future in self._pending) >= AHEAD

    def append(self, batch: bytes) -> None:
        """Add to the end; raises what came of batches before."""
        done = [future for future in self._pending if future.done()]
        self._pending = [future for future in self._pending if future not in done]
        for future in done:
            future.result()
        self._pending.append(self._writer.submit(self._write, batch))
        if self.hash:
            self._pending.append(self._hasher.submit(self.hash.update, batch))
        self.written += len(batch)

    def catch_up(self) -> None:
        """Wait until the oldest batch is done with."""
        if self._pending:
            self._pending[0].result()

    def settle(self) -> None:
        """Wait until all is in the file; raises if it could not be written."""
        pending, self._pending = self._pending, []
        for future in pending:
            future.result()

    def start_over(self) -> None:
        """Empty the file, and forget what is known."""
        self.settle()
        self.file.seek(0)
        self.file.truncate()
        self.written, self.total, self.validator = 0, None, None
        self.announced = self.hash = None

    def discard(self) -> None:
        """Remove the file, unless it has been renamed."""
        for pool in (self._writer, self._hasher):
            pool.shutdown(cancel_futures=True)
        self.file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, batch: bytes) -> None:
        left = memoryview(batch)
        while left:  # a raw file may take less than it is given
            left = left[self.file.write(left) :]
