from __future__ import annotations

from datetime import timedelta

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.operations import failures
from history import account, add, split

NOW = times.now()
HOUR = timedelta(hours=1)


def test_reasons_by_code(database: Database) -> None:
    one, other = account(database, "one"), account(database, "other")
    add(
        database,
        split(one, "failed", finished_at=NOW - HOUR, error_message="the newest"),
        split(other, "failed", finished_at=NOW - 2 * HOUR, error_message="an older one"),
        split(one, "failed", finished_at=NOW - 48 * HOUR),
        split(one, "failed", finished_at=NOW - 31 * 24 * HOUR),
        split(one, "failed", finished_at=NOW - HOUR, error_code="UNSUPPORTED_MEDIA"),
        split(one, "failed", finished_at=NOW, error_code="CANCELED"),
        split(one, "succeeded", finished_at=NOW),
    )
    with database.read() as session:
        found = failures.reasons(session, NOW)
    counts = [(each.code, each.in_day, each.in_month) for each in found]
    assert counts == [("INTERNAL", 2, 3), ("UNSUPPORTED_MEDIA", 1, 1)]
    assert (found[0].newest.error_message, found[0].newest.account_id) == ("the newest", one)


def test_the_newest_failures_by_page(database: Database) -> None:
    one = account(database, "one")
    same = NOW - 3 * HOUR  # several end at the same moment
    rows = [
        split(one, "failed", finished_at=NOW - HOUR),
        *(split(one, "failed", finished_at=same) for _ in range(3)),
        split(one, "failed", finished_at=NOW - 4 * HOUR, error_code="INPUT_TOO_LONG"),
    ]
    add(database, *rows, split(one, "failed", finished_at=NOW, error_code="CANCELED"))
    wanted = sorted(rows, key=lambda row: (row.finished_at, row.id), reverse=True)
    seen, before = [], None
    with database.read() as session:
        while page := failures.newest(session, NOW, code=None, before=before, limit=2):
            seen += [row.id for row, _ in page]
            before = seen[-1]
        assert seen == [row.id for row in wanted]
        ((only, whose),) = failures.newest(
            session, NOW, code="INPUT_TOO_LONG", before=None, limit=9
        )
        assert (only.id, whose.name) == (rows[-1].id, "one")
        assert not failures.newest(session, NOW, code=None, before="split_none", limit=9)
