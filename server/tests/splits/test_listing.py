from __future__ import annotations

from datetime import timedelta

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.models.catalogue import NAMES
from aistemsplitter_server.splits import listing
from aistemsplitter_server.splits.listing import Filters
from databases import only_sqlite
from history import account, add, split
from query_plans import planned

NOW = times.now()
MINUTE = timedelta(minutes=1)


def ids(
    database: Database, account_id: str, filters: Filters, *, is_test: bool = False
) -> list[str]:
    """Return the ids of all pages of two splits."""
    found: list[str] = []
    before: str | None = None
    with database.read() as session:
        while True:
            page, before = listing.page(
                session, account_id, filters, is_test=is_test, before=before, limit=2
            )
            assert len(page) <= 2
            found += [one.id for one in page]
            if before is None:
                return found


def test_the_splits_of_a_time(database: Database) -> None:
    """Those that were created at its first moment, and not those of its last one."""
    whose = account(database)
    songs = [split(whose, "queued", created_at=NOW + number * MINUTE) for number in range(6)]
    add(database, *songs)
    chosen = Filters(created_after=NOW + MINUTE, created_before=NOW + 4 * MINUTE, status="queued")
    assert ids(database, whose, chosen) == [song.id for song in songs[3:0:-1]]


def test_the_splits_of_a_model_by_any_of_its_names(database: Database) -> None:
    whose, other = account(database), account(database)
    names = ("4s", "htdemucs_ft", "htdemucs", "6s")
    songs = [
        split(whose, "queued", stem_model=name, created_at=NOW + number * MINUTE)
        for number, name in enumerate(names)
    ]
    tested = split(whose, "queued", stem_model="4s", is_test=True)
    gone = split(whose, "queued", stem_model="4s", deleted_at=NOW)
    add(database, *songs, tested, gone, split(other, "queued", stem_model="4s"))
    chosen = Filters(model=NAMES["4s"])
    assert ids(database, whose, chosen) == [songs[1].id, songs[0].id]
    assert ids(database, whose, chosen, is_test=True) == [tested.id]


def test_a_page_reads_a_limited_number_of_splits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "READ", 3)
    whose = account(database)
    songs = [
        split(
            whose,
            "queued",
            created_at=NOW + number * MINUTE,
            split_metadata={"order": str(number), "shop": "a"},
        )
        for number in range(8)
    ]
    add(database, *songs)
    chosen = Filters(metadata={"order": "1", "shop": "a"})
    with database.read() as session:
        page, before = listing.page(session, whose, chosen, is_test=False, before=None, limit=2)
    assert (list(page), before) == ([], songs[5].id)
    assert ids(database, whose, chosen) == [songs[1].id]
    assert ids(database, whose, Filters(metadata={"order": "1", "shop": "b"})) == []


@only_sqlite
@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(created_after=NOW, created_before=NOW),
        Filters(created_before=NOW, status="failed"),
        Filters(metadata={"order": "1"}, created_before=NOW),
        Filters(model=NAMES["4s"], status="succeeded"),
    ],
    ids=["none", "moment", "status", "metadata", "model"],
)
def test_splits_are_read_in_the_order_of_an_index(database: Database, filters: Filters) -> None:
    with planned(database) as plans, database.read() as session:
        listing.page(session, "acc_1", filters, is_test=False, before=None, limit=20)
    assert plans
    for plan in plans:
        assert "SEARCH splits USING" in plan, plan
        assert "TEMP B-TREE" not in plan, plan
