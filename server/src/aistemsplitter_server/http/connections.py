"""Open connections of a server: their limit, and which one is closed for a new one."""

from __future__ import annotations

import logging
import resource
import time
from collections import Counter
from collections.abc import Container
from contextlib import suppress
from typing import Protocol

from aistemsplitter_server.http.rate_limits import neighbourhood

logger = logging.getLogger(__name__)

MOST = 4096
LEAST = 16  # even if the process may open fewer descriptors
EACH = 2  # descriptors: the connection's own, and the file that it reads or writes
RESERVE = 256  # descriptors for the database, the log, measurements and refused connections
SHARE = 4  # one address has at most one in so many connections
# connections over the limit that get a 503; further ones are closed without a response
REFUSED = 64
WARN = 60.0  # seconds between two warnings


class Connection(Protocol):
    """A connection that can be closed for another one."""

    def evict(self) -> None:
        """Close the connection at once. It has no request in progress."""


class Connections:
    """Admits connections up to a limit, and up to a share of it from one address.

    At the limit, the connection that has been idle longest is closed, so that idle ones cannot keep
    others out. If all are busy, the new one is refused.

    Args:
        limit: Connections at most.
        proxies: Addresses that stand for many clients and have no share.

    Attributes:
        are_ending: Whether the server stops, and each connection ends after its request.
    """

    def __init__(self, limit: int, proxies: Container[str]) -> None:
        self.are_ending = False
        self._limit = limit
        self._proxies = proxies
        # of admitted connections; None for those without a share
        self._addresses: dict[Connection, str | None] = {}
        self._of_address = Counter[str]()
        self._idle: dict[Connection, None] = {}  # admitted connections, the longest idle first
        self._refused: set[Connection] = set()
        self._warned = float("-inf")

    def admit(self, connection: Connection, address: str | None) -> bool:
        """Count a new connection as idle; return False if it must be refused.

        Args:
            address: The client's address; None if it has none.
        """
        if address is not None:
            address = None if address in self._proxies else neighbourhood(address)
        over_share = address and self._of_address[address] >= max(1, self._limit // SHARE)
        if over_share or len(self._addresses) >= self._limit:
            idle = (
                other for other in self._idle if not over_share or self._addresses[other] == address
            )
            victim = next(idle, None)
            if victim is None:
                self._warn()
                self._refused.add(connection)
                return False
            self.leave(victim)
            victim.evict()
        self._addresses[connection] = address
        if address is not None:
            self._of_address[address] += 1
        self._idle[connection] = None
        return True

    @property
    def can_answer(self) -> bool:
        """Whether there are few enough refused connections to send another one a response."""
        return len(self._refused) <= REFUSED

    def busy(self, connection: Connection) -> None:
        """Note that a request has begun."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Note that a request has ended."""
        if connection in self._addresses:
            self._idle[connection] = None

    def leave(self, connection: Connection) -> None:
        """Remove a closed connection. Again, do nothing."""
        self._refused.discard(connection)
        self._idle.pop(connection, None)
        address = self._addresses.pop(connection, None)
        if address is not None:
            self._of_address[address] -= 1
            if not self._of_address[address]:
                del self._of_address[address]

    def _warn(self) -> None:
        if time.monotonic() - self._warned > WARN:
            self._warned = time.monotonic()
            logger.warning("refusing connections: %d of %d", len(self._addresses), self._limit)


def limit() -> int:
    """Return how many connections the process has descriptors for."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return MOST
    return min(MOST, max(LEAST, (soft - RESERVE) // EACH))


def raise_limit() -> None:
    """Raise the process's limit of descriptors as far as needed and permitted."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MOST * EACH + RESERVE
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError, OSError):  # some systems permit less than they report
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
