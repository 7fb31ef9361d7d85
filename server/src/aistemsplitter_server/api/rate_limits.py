"""How many requests a key may make in a minute, and an address without a good key.

Counted in this process: two API processes together let through twice as many. A limit protects
the service from a runaway client; for that it need not be exact.
"""

from __future__ import annotations

import ipaddress
import math
from typing import NamedTuple

from throttled import RateLimiterType, Throttled, per_min
from throttled.store import MemoryStore

from aistemsplitter_server.kit.errors import RateLimited

REMEMBERED = 100_000  # keys and addresses, some 30 MB; of more, those seen last


class Allowance(NamedTuple):
    """What is left of a minute."""

    limit: int
    remaining: int
    reset: int  # seconds until all of it is there again

    def headers(self) -> dict[str, str]:
        """As the answer bears it."""
        return {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }


class RateLimits:
    """Counts requests of keys and addresses; 0 a minute is no limit at all.

    A minute's requests may come at once; from then on they come back evenly, one by one.
    """

    def __init__(self, per_minute: int) -> None:
        self._throttle = per_minute and Throttled(
            using=RateLimiterType.GCRA.value,
            quota=per_min(per_minute, burst=per_minute),
            store=MemoryStore(options={"MAX_SIZE": REMEMBERED}),
        )

    def take(self, who: str) -> Allowance | None:
        """Count one request of a key's or an address's; None where there is no limit.

        Raises:
            RateLimited: one too many; it bears the allowance's headers itself.
        """
        if not self._throttle:
            return None
        counted = self._throttle.limit(who)
        state = counted.state
        allowance = Allowance(state.limit, state.remaining, math.ceil(state.reset_after))
        if counted.limited:
            raise RateLimited(math.ceil(state.retry_after) or 1, allowance.headers())
        return allowance


def neighbourhood(address: str) -> str:
    """Whom an address counts for: of IPv6 everyone has 2**64, so it is their network."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, 64), strict=False))
