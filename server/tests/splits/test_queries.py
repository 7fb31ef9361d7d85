from __future__ import annotations

from datetime import timedelta

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.splits import queries
from aistemsplitter_server.splits.queueing import Positions
from history import account, add, split

NOW = times.now()
MINUTE = timedelta(minutes=1)


def test_a_search_reads_a_limited_number_of_splits(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SEARCHED", 3)
    whose, other = account(database), account(database)
    names = ["Ember.flac", "b", "c", "d", "ember 2", "f", "g", "h"]  # the oldest first
    songs = [
        split(whose, "succeeded", filename=name, finished_at=NOW + number * MINUTE)
        for number, name in enumerate(names)
    ]
    add(database, *songs, split(other, "succeeded", filename="ember", finished_at=NOW))
    found: list[list[str]] = []
    before: str | None = None
    with database.read() as session:
        while True:
            some, before = queries.search(
                session, whose, "EMBER", is_test=False, before=before, limit=5
            )
            found.append([song.filename for song in some])
            if before is None:
                break
    assert found == [[], ["ember 2"], ["Ember.flac"]]


def test_a_search_with_many_hits_continues_after_the_last_one(database: Database) -> None:
    whose = account(database)
    songs = [split(whose, "succeeded", finished_at=NOW + number * MINUTE) for number in range(5)]
    add(database, *songs)
    newest_first = [song.id for song in reversed(songs)]
    with database.read() as session:
        first, before = queries.search(session, whose, "song", is_test=False, before=None, limit=3)
        rest, end = queries.search(session, whose, "song", is_test=False, before=before, limit=3)
    assert [song.id for song in (*first, *rest)] == newest_first
    assert end is None


def test_large_queue_positions_are_rounded_down(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "EXACT_PLACES", 3)
    monkeypatch.setattr(queries, "PLACES_STEP", 4)
    monkeypatch.setattr(queries, "_PLACES", queries.places_query())
    whose = account(database)
    songs = [split(whose, "queued", turn=number + 1) for number in range(10)]
    add(database, *songs, split(whose, "processing", turn=1))
    positions = Positions(database)
    assert [positions.of(song) for song in songs] == [0, 1, 2, 3, 4, 4, 4, 4, 8, 8]


def test_the_oldest_queued_split(database: Database) -> None:
    whose = account(database)
    with database.read() as session:
        assert queries.queued_since(session) is None
    add(
        database,
        split(whose, "succeeded", finished_at=NOW - 9 * MINUTE),
        split(whose, "queued", created_at=NOW - MINUTE),
        split(whose, "queued", created_at=NOW - 2 * MINUTE),
    )
    with database.read() as session:
        assert queries.queued_since(session) == NOW - 2 * MINUTE
