"""Usage of the fake service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

DAYS = 30  # by default


def usage(splits: Iterable[Mapping[str, Any]], query: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON of the usage by day.

    Args:
        splits: JSON of all splits.
        query: Parameters of the request.
    """
    end = date.fromisoformat(query["end"]) if "end" in query else datetime.now(UTC).date()
    first = end - timedelta(days=DAYS - 1)
    start = date.fromisoformat(query["start"]) if "start" in query else first
    seconds, numbers = Counter[str](), Counter[str]()
    for split in splits:
        if split["creditsUsed"]:
            day = split["createdAt"][:10]
            seconds[day] += split["creditsUsed"]
            numbers[day] += 1
    names = [str(start + timedelta(days=each)) for each in range((end - start).days + 1)]
    days = [{"day": day, "seconds": seconds[day], "splits": numbers[day]} for day in names]
    return {
        "start": str(start),
        "end": str(end),
        "seconds": sum(seconds[day] for day in names),
        "splits": sum(numbers[day] for day in names),
        "days": days,
    }
