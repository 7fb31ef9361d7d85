from __future__ import annotations

from datetime import UTC, datetime

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.webhooks import schedule


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        ("Wed, 25 Nov 2026 12:00:30 GMT", 30),
        ("99999999", 86400),
        ("nonsense", 5),
        ("Mon, 01 Jan 99999999999 00:00:00 GMT", 5),
        ("Mon, 01 Jan 2026 99999999999999999999:00:00 GMT", 5),
        ("Fri, 31 Dec 9999 23:59:59 -2359", 86400),
        ("Mon, 01 Jan 0001 00:00:00 +2359", 5),
        ("9" * 5000, 5),
        ("-1", 5),
        ("1", 5),
        (None, 5),
    ],
)
def test_retry_after(header: str | None, seconds: int) -> None:
    now = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
    due = schedule.next_attempt(1, header, now)
    assert due is not None
    assert seconds * 0.9 <= (due - now).total_seconds() <= seconds * 1.1


def test_the_schedule_ends() -> None:
    now = times.now()
    assert schedule.next_attempt(8, None, now) is not None
    assert schedule.next_attempt(9, None, now) is None
