from __future__ import annotations

from datetime import timedelta

import pytest

from aistemsplitter_server.accounts.tables import Person, SignIn
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit import ids, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import NotFound
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.operations import accounts
from customers import customer
from history import account, add, split

NOW = times.now()
DAY = timedelta(days=1)


def person(database: Database, account_id: str, email: str, *seen: timedelta) -> None:
    """Add a person who was last seen that long ago."""
    row = Person(
        id=ids.new("usr"), account_id=account_id, email=email, password_hash="", created_at=NOW
    )
    with database.write() as session:
        session.add(row)
        session.flush()
        for ago in seen:
            session.add(
                SignIn(
                    id=ids.new("ses"),
                    digest=ids.new("ses").encode(),
                    person_id=row.id,
                    user_agent="",
                    address="",
                    created_at=NOW - ago,
                    seen_at=NOW - ago,
                    expires_at=NOW + DAY,
                )
            )


def test_the_summary_of_an_account(database: Database) -> None:
    other = account(database, "other")
    one = account(database, "one", seconds=600)
    with database.write() as session:
        credits.grant(session, one, 300, "test")
    person(database, one, "a@example.com", 3 * DAY, 2 * DAY)
    person(database, one, "b@example.com")
    person(database, other, "c@example.com", DAY)
    add(
        database,
        split(one, "succeeded", created_at=NOW - 29 * DAY, finished_at=NOW - 29 * DAY),
        split(one, "failed", created_at=NOW - 31 * DAY, finished_at=NOW - 31 * DAY),
        split(other, "queued"),
    )
    with database.read() as session:
        found = accounts.one(session, NOW, one)
        with pytest.raises(NotFound):
            accounts.one(session, NOW, "acc_none")
    assert (found.account.name, found.people, found.balance, found.splits) == ("one", 2, 900, 1)
    assert found.active == NOW - 2 * DAY


def test_the_splits_of_a_busy_account_are_not_all_counted(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(accounts, "MOST", 2)
    few, many = account(database), account(database)
    add(database, split(few, "queued"), *(split(many, "queued") for _ in range(3)))
    with database.read() as session:
        found = [accounts.one(session, NOW, account_id) for account_id in (few, many)]
    assert [(each.splits, each.has_more_splits) for each in found] == [(1, False), (2, True)]


def test_an_account_without_activity(database: Database) -> None:
    new = account(database, seconds=0)
    with database.read() as session:
        found = accounts.one(session, NOW, new)
    assert (found.people, found.balance, found.splits, found.active) == (0, 0, 0, None)


def test_using_a_key_is_activity(database: Database, server_secrets: Secrets) -> None:
    someone = customer(database, server_secrets)
    with database.read() as session:
        active = accounts.one(session, NOW, someone.caller.account_id).active
    assert active is not None
    assert active >= NOW


def test_search_and_paging(database: Database) -> None:
    made = [account(database, name) for name in ("Aurora Studio", "50% off", "藍調工作室", "bravo")]
    person(database, made[3], "dj@aurora.example")

    def search(text: str, before: str | None = None, limit: int = 9) -> list[str]:
        with database.read() as session:
            page = accounts.page(session, NOW, text=text, before=before, limit=limit)
        return [each.account.id for each in page]

    assert search("") == made[::-1]
    assert search("", limit=2) == [made[3], made[2]]
    assert search("", before=made[2]) == [made[1], made[0]]
    assert search("aurora") == [made[3], made[0]]  # by name, and by the email of a person in it
    assert search("%") == [made[1]]
    assert search("藍調") == [made[2]]
    assert search(made[0]) == [made[0]]
    assert search("_") == []
