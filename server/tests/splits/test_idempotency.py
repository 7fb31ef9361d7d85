"""Idempotency keys in two processes, whose races a test through one API cannot produce."""

from __future__ import annotations

from datetime import timedelta

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import IdempotencyInProgress, IdempotencyMismatch
from aistemsplitter_server.splits import idempotency
from aistemsplitter_server.splits.tables import IdempotencyKey
from customers import Customer

ANSWER = {"id": "split_1"}


@pytest.fixture
def account(someone: Customer) -> str:
    return someone.caller.account_id


def answered(database: Database, account: str, print_: str = "body") -> object:
    with database.write() as session:
        return idempotency.begin(session, account, "key", print_)


def remember(database: Database, account: str, answer: dict[str, str]) -> None:
    with database.write() as session:
        idempotency.remember(session, account, "key", "body", answer)


def test_a_response_is_stored_for_a_day(database: Database, account: str) -> None:
    assert answered(database, account) is None
    remember(database, account, ANSWER)
    assert answered(database, account) == ANSWER
    with pytest.raises(IdempotencyMismatch):
        answered(database, account, "another body")
    with database.write() as session:
        row = session.get_one(IdempotencyKey, (account, "key"))
        row.created_at = times.now() - idempotency.KEPT - timedelta(seconds=1)
    assert answered(database, account, "another body") is None
    remember(database, account, {"id": "split_2"})
    assert answered(database, account) == {"id": "split_2"}


# On SQLite the second writer waits for the first.
@pytest.mark.parametrize("databases", ["postgres"], indirect=True)
def test_a_key_in_use_by_another_process(database: Database, account: str) -> None:
    with database.write() as session:
        assert idempotency.begin(session, account, "key", "body") is None
        with pytest.raises(IdempotencyInProgress):
            answered(database, account)
        idempotency.remember(session, account, "key", "body", ANSWER)
    assert answered(database, account) == ANSWER


def test_a_response_stored_meanwhile_is_kept(database: Database, account: str) -> None:
    remember(database, account, ANSWER)
    with pytest.raises(IdempotencyInProgress):
        remember(database, account, {"id": "split_2"})
    assert answered(database, account) == ANSWER
