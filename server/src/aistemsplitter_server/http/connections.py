"""The open connections of a server: how many there may be, and which one gives way to a new one."""

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
LEAST = 16  # however few descriptors the process may open
EACH = 2  # descriptors: a connection's own, and the file that it reads or writes
RESERVE = 256  # descriptors of the database, the log, measurements and refused connections
SHARE = 4  # an address has at most one in so many connections
REFUSED = 64  # connections over the limit that are answered by 503; more are closed unanswered
WARN = 60.0  # seconds between two warnings


class Connection(Protocol):
    """What a connection can be asked to do."""

    def evict(self) -> None:
        """Close it at once; it has no request in progress."""


class Connections:
    """Admits connections up to a limit, and up to a share of it from one address.

    Where the limit is reached, the connection that has waited longest for a request is closed, so
    silent ones cannot keep others out. Where all are busy, the new one is refused.

    Args:
        limit: most connections.
        proxies: addresses that stand for many clients and have no share.
    """

    def __init__(self, limit: int, proxies: Container[str]) -> None:
        self._limit = limit
        self._proxies = proxies
        self._addresses: dict[Connection, str | None] = {}  # of those admitted; None: no share
        self._of_address = Counter[str]()
        self._idle: dict[Connection, None] = {}  # those admitted, the longest idle first
        self._refused: set[Connection] = set()
        self._warned = float("-inf")

    def admit(self, connection: Connection, address: str | None) -> bool:
        """Count a new connection, which is idle; False if it has to be refused.

        Args:
            address: of the other end; None if it has none.
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
        """False if so many connections are being refused that another is not even answered."""
        return len(self._refused) <= REFUSED

    def busy(self, connection: Connection) -> None:
        """Note that a request has begun."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Note that a request has ended."""
        if connection in self._addresses:
            self._idle[connection] = None

    def leave(self, connection: Connection) -> None:
        """Forget a connection that is closed; again changes nothing."""
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
    """Let the process open as many descriptors as the most connections need, where it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = MOST * EACH + RESERVE
    if hard != resource.RLIM_INFINITY:
        needed = min(needed, hard)
    if soft != resource.RLIM_INFINITY and soft < needed:
        with suppress(ValueError, OSError):  # some systems allow less than they say
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
