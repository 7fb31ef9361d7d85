"""A download under its temporary name: written and hashed in threads while the next bytes come.

Reading a socket, writing a file and hashing each take about as long, and the last two let go of
the interpreter's lock. One batch is on its way at a time, so the order stays and memory is bounded.
"""

from __future__ import annotations

import io
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from aistemsplitter._digests import Announced


@dataclass(slots=True)
class Part:
    """The file, and what is known of the whole.

    What it does blocks, except ``append`` while it is not ``busy``, and ``discard``, which waits
    for one batch at most.

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
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(2), repr=False)
    _pending: list[Future[None]] = field(default_factory=list, repr=False)

    def open(self) -> None:
        """Make the file; the path must be new."""
        self.file = self.path.open("xb", buffering=0)

    @property
    def busy(self) -> bool:
        """Whether the last batch is still on its way."""
        return not all(future.done() for future in self._pending)

    def append(self, batch: list[bytes]) -> None:
        """Add to the end; raises what came of the batch before."""
        self.settle()
        self._pending.append(self._pool.submit(self._write, batch))
        if self.hash:
            self._pending.append(self._pool.submit(self._update, batch))
        self.written += sum(map(len, batch))

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
        self._pool.shutdown()
        self.file.close()
        self.path.unlink(missing_ok=True)

    def _write(self, batch: list[bytes]) -> None:
        for piece in batch:
            left = memoryview(piece)
            while left:  # a raw file may take less than it is given
                left = left[self.file.write(left) :]

    def _update(self, batch: list[bytes]) -> None:
        for piece in batch:
            self.hash.update(piece)
