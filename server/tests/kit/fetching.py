"""Fetching from a peer on loopback, for tests."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from aistemsplitter_server.kit import addresses
from aistemsplitter_server.kit.dialing import Resolve
from aistemsplitter_server.kit.outgoing import Outgoing

LOOPBACK = addresses.networks("127.0.0.1")
CHUNKED = b"HTTP/1.1 200 So\r\nTransfer-Encoding: chunked\r\n\r\n"


def names(**places: Sequence[str]) -> Resolve:
    """Return a resolver of names by their first label; each request gets its next address."""
    left = {name: list(found) for name, found in places.items()}

    def resolve(host: str, _port: int) -> list[str]:
        found = left.get(host.partition(".")[0])
        if found is None:
            return [host]
        return [found.pop(0) if len(found) > 1 else found[0]]

    return resolve


def fetch(
    url: str,
    to: Path,
    *,
    limit: int = 1 << 20,
    deadline: float = 20,
    client: Outgoing | None = None,
) -> int:
    return (client or Outgoing(LOOPBACK)).fetch(url, to, limit=limit, deadline=deadline)
