"""Rate limits: requests per minute of a key, an account, a person or an address.

All processes count together (``rate_limit_store.py``). A process that serves a caller often takes
several requests from the shared allowance at once and grants them without a query. It never grants
more than the allowance. What is left when the caller falls silent is lost, at most a second's
worth.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from sqlalchemy.exc import SQLAlchemyError

from aistemsplitter_server.http.rate_limit_store import RateLimitStore
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import RateLimited

logger = logging.getLogger(__name__)

REMEMBERED = 10_000  # callers for whom a process remembers what it has taken in advance
LEASE = 1.0  # seconds that it may grant what it has taken


class Allowance(NamedTuple):
    """The rest of an allowance."""

    limit: int
    remaining: int
    reset: int  # seconds until it is full again

    def headers(self) -> dict[str, str]:
        """Return the headers that report the allowance."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


NOTHING = Allowance(0, 0, 0)


@dataclass(slots=True)
class _Advance:
    """Requests of one caller that were taken from the shared allowance and not made yet."""

    size: int = 1  # how many are taken at a time
    left: int = 0
    until: float = 0.0  # when the rest is lost
    blocked_until: float = 0.0  # until then the shared allowance is empty
    allowance: Allowance = NOTHING


class RateLimits:
    """Counts requests. A minute's requests may come at once; then they are restored one by one.

    A limit of 0 means no limit.
    """

    def __init__(self, database: Database, store: RateLimitStore) -> None:
        self._database = database
        self._store = store
        self._lock = threading.Lock()
        self._advances: OrderedDict[str, _Advance] = OrderedDict()

    async def take(self, who: str, per_minute: int) -> Allowance | None:
        """Count a request; return None if there is no limit.

        Raises:
            RateLimited: The allowance is used up.
        """
        if not per_minute:
            return None
        allowance = self._take_local(who)
        if allowance is None:
            allowance = await self._database.run_read(partial(self._take, who, per_minute))
        return allowance

    def take_blocking(self, who: str, per_minute: int) -> Allowance | None:
        """Count a request in a thread that may block; see :meth:`take`."""
        if not per_minute:
            return None
        return self._take_local(who) or self._take(who, per_minute)

    def count_attempt(self, who: str, per_minute: int, *, burst: int, cost: int = 1) -> None:
        """Count rare events exactly, such as sign-in attempts. If they cannot be counted, raise.

        Raises:
            RateLimited: The allowance is used up.
        """
        taken = self._store.take(who, per_minute, burst=burst, cost=cost)
        if not taken.granted:
            raise RateLimited(math.ceil(taken.retry_after) or 1)

    def _take_local(self, who: str) -> Allowance | None:
        """Grant or refuse a request without a query, if possible; otherwise return None."""
        now = time.monotonic()
        with self._lock:
            advance = self._advances.get(who)
            if advance is None:
                return None
            if now < advance.blocked_until:
                raise _refused(advance.blocked_until - now, advance.allowance)
            if not advance.left or now > advance.until:
                return None
            advance.left -= 1
            limit, remaining, reset = advance.allowance
            return Allowance(limit, remaining + advance.left, reset)

    def _take(self, who: str, per_minute: int) -> Allowance | None:
        now = time.monotonic()
        with self._lock:
            advance = self._advances.pop(who, None) or _Advance()
            self._advances[who] = advance  # the last one to be dropped
            if len(self._advances) > REMEMBERED:
                self._advances.popitem(last=False)
            in_use = not advance.left and now < advance.until
            largest = max(1, per_minute // 60)
            advance.size = size = min(2 * advance.size, largest) if in_use else 1
        try:
            taken = self._store.take(who, per_minute, cost=size)
            if not taken.granted and size > 1:
                size = 1
                taken = self._store.take(who, per_minute)
        except SQLAlchemyError as error:  # no limit is better than no service
            logger.warning("requests are not counted: %s", type(error).__name__)
            return None
        allowance = Allowance(per_minute, taken.remaining, math.ceil(taken.reset))
        with self._lock:
            advance.allowance = allowance
            if not taken.granted:
                advance.left, advance.blocked_until = 0, now + taken.retry_after
                raise _refused(taken.retry_after, allowance)
            advance.left, advance.until = size - 1, now + LEASE
            return Allowance(per_minute, taken.remaining + size - 1, allowance.reset)


def _refused(seconds: float, allowance: Allowance) -> RateLimited:
    return RateLimited(math.ceil(seconds) or 1, allowance._replace(remaining=0).headers())


def neighbourhood(address: str) -> str:
    """Return what an address is counted as: for IPv6 its network, since each client has 2**64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
