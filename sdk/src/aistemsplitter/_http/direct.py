"""Large bodies straight from the connection, past the HTTP library's parser.

The parser copies every byte four times, in pieces of 64 KiB: half of the time that a fast download
takes. Once it has handed over the first piece of a body of known length it holds nothing back, and
what follows on the connection is the rest of that body and nothing else. The connection cannot be
used again afterwards, which a large body is worth.
"""

from __future__ import annotations

from typing import Any

WORTH = 4 * 2**20  # bytes of a rest for which a new connection later is a small price
PIECE = 2**20  # bytes a read, at most


class Rest:
    """The rest of a body, after its first piece."""

    def __init__(self, stream: Any, left: int) -> None:
        self._stream = stream
        self.left = left

    def read(self, timeout: float) -> Any:
        """Read the next bytes, to be shown to ``count``; awaitable under an event loop."""
        return self._stream.read(min(PIECE, self.left), timeout)

    def count(self, piece: bytes) -> bytes:
        """The bytes; EOFError if they are none, which is before the end."""
        if not piece:
            raise EOFError(f"the line was cut {self.left} bytes before the end")
        self.left -= len(piece)
        return piece


def rest_of(response: Any, first: bytes) -> Rest | None:
    """The rest of an answer's body, None where it has to come through the parser."""
    length = response.headers.get("content-length", "")
    stream = response.extensions.get("network_stream")
    framed = response.extensions.get("http_version") == b"HTTP/1.1" and stream is not None
    known = length.isascii() and length.isdigit() and "transfer-encoding" not in response.headers
    left = int(length[:18]) - len(first) if known and framed else 0
    return Rest(stream, left) if left >= WORTH else None
