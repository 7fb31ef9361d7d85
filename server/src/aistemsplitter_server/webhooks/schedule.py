"""When a failed delivery is retried."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

PAUSES = (5, 60, 300, 1800, 7200, 18000, 36000, 36000)  # seconds after each failed attempt
ATTEMPTS = len(PAUSES) + 1
JITTER = 0.1  # of a pause, either way
LONGEST_WISH = 86400  # seconds; a receiver that asks for more is retried after a day


def next_attempt(number: int, retry_after: str | None, now: datetime) -> datetime | None:
    """Return when to retry after an attempt, counted from 1; None after the last one.

    Args:
        retry_after: The receiver's ``Retry-After`` header. A longer wait that it asks for is
            honoured.
    """
    if number >= ATTEMPTS:
        return None
    pause = PAUSES[number - 1] * random.uniform(1 - JITTER, 1 + JITTER)
    wish = _seconds(retry_after, now)
    return now + timedelta(seconds=max(pause, wish))


def _seconds(retry_after: str | None, now: datetime) -> float:
    if retry_after is None:
        return 0
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(int(text), LONGEST_WISH)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):  # a receiver can send anything
        return 0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(0.0, (moment - now).total_seconds()), LONGEST_WISH)
