from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import deletion_queries
from aistemsplitter_server.splits.tables import SUCCEEDED, Split
from customers import Customer
from databases import only_sqlite
from query_plans import planned

DAY = timedelta(days=1)


def test_songs_that_expire_soon_are_counted_up_to_a_limit(
    database: Database, someone: Customer
) -> None:
    now = times.now()
    account = someone.caller.account_id
    ids = [someone.split().id for _ in range(5)]
    hours = dict(zip(ids, (-1, 30, 3, 2, 1), strict=True))  # expired, later than a day, and sooner
    with database.write() as session:
        for split_id, left in hours.items():
            expires_at = now + timedelta(hours=left)
            values = {"status": SUCCEEDED, "finished_at": now, "expires_at": expires_at}
            session.execute(update(Split).where(Split.id == split_id).values(values))
    for limit, expected in ((10, 3), (2, 2)):
        with database.write() as session:
            found = deletion_queries.expiring_locked(session, account, now, now + DAY, limit)
            assert [split.id for split in found] == ids[:1:-1][:limit]
            counted = deletion_queries.count_expiring(session, account, now, now + DAY, limit)
            assert counted == expected


@only_sqlite
def test_other_accounts_songs_are_not_read(database: Database, someone: Customer) -> None:
    now = times.now()
    with database.read() as session, planned(database) as plans:
        deletion_queries.count_expiring(session, someone.caller.account_id, now, now + DAY, 10)
    assert "USING COVERING INDEX ix_splits_expiring (account_id=? AND status=? AND" in plans[0]
