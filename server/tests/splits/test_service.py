from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, InsufficientCredits
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import deletion, service
from aistemsplitter_server.splits.service import ATTEMPTS, Superseded
from aistemsplitter_server.splits.tables import Split
from customers import Customer, customer

KEPT = timedelta(hours=72)


def begin(someone: Customer, split_id: str, worker: str = "wrk_1") -> int | None:
    with someone.database.write() as session:
        split = service.begin(session, split_id, worker)
        return split and split.attempt


def succeed(someone: Customer, split_id: str, attempt: int) -> None:
    with someone.database.write() as session:
        service.succeed(
            session, split_id, attempt, sample_rate=44100, warnings=["one"], retention=KEPT
        )


def found(someone: Customer, split_id: str) -> Split:
    with someone.database.read() as session:
        return session.get_one(Split, split_id)


def test_a_split_from_the_queue_to_its_end(someone: Customer) -> None:
    split = someone.split(20.2)
    assert (split.status, split.credits_used, someone.balance) == ("queued", 21, 579)
    assert begin(someone, split.id) == 1
    assert found(someone, split.id).status == "processing"
    succeed(someone, split.id, 1)
    ended = found(someone, split.id)
    assert (ended.status, ended.stored_attempt, ended.progress) == ("succeeded", 1, 1.0)
    assert ended.warnings == ["one"]
    assert ended.finished_at is not None
    assert ended.expires_at == ended.finished_at + KEPT
    assert someone.balance == 579
    assert begin(someone, split.id) is None


def test_a_split_without_credits_is_not_created(someone: Customer) -> None:
    with pytest.raises(InsufficientCredits) as caught:
        someone.split(601)
    assert caught.value.extra == {"requiredSeconds": 601, "balanceSeconds": 600}
    assert someone.balance == 600


def test_a_superseded_worker_cannot_change_the_split(someone: Customer) -> None:
    split = someone.split()
    assert begin(someone, split.id, "wrk_1") == 1
    assert begin(someone, split.id, "wrk_2") == 2
    with pytest.raises(Superseded):
        succeed(someone, split.id, 1)
    with someone.database.write() as session, pytest.raises(Superseded):
        service.retry(session, split.id, 1)
    succeed(someone, split.id, 2)
    assert found(someone, split.id).stored_attempt == 2
    with pytest.raises(Superseded):
        succeed(someone, split.id, 2)


def test_cancelled(someone: Customer) -> None:
    split = someone.split()
    begin(someone, split.id)
    with someone.database.write() as session:
        service.cancel(session, session.get_one(Split, split.id))
    ended = found(someone, split.id)
    assert (ended.status, ended.error_code, ended.credits_used) == ("failed", "CANCELED", 0)
    assert someone.balance == 600
    with pytest.raises(Superseded):
        succeed(someone, split.id, 1)
    with someone.database.write() as session, pytest.raises(Conflict):
        service.cancel(session, session.get_one(Split, split.id))
    assert someone.balance == 600


def test_a_split_fails_after_three_attempts(someone: Customer) -> None:
    split = someone.split()
    for number in range(1, ATTEMPTS + 1):
        assert begin(someone, split.id) == number  # then its worker dies
    assert begin(someone, split.id) is None
    assert found(someone, split.id).error_code == "INTERNAL"
    assert someone.balance == 600


def test_retrying_the_last_attempt_fails_the_split(someone: Customer) -> None:
    split = someone.split()
    for number in range(1, ATTEMPTS + 1):
        assert begin(someone, split.id) == number
        with someone.database.write() as session:
            service.retry(session, split.id, number)
    assert found(someone, split.id).status == "failed"
    assert someone.balance == 600


def test_attempts_that_get_further_do_not_count(someone: Customer) -> None:
    split = someone.split()
    for number, progress in enumerate((0.34, 0.36, 0.39, 0.42, 0.5), 1):
        assert begin(someone, split.id) == number
        with someone.database.write() as session:
            session.get_one(Split, split.id).progress = progress  # then its worker dies
    for number in range(6, 6 + ATTEMPTS):
        assert begin(someone, split.id) == number
        with someone.database.write() as session:
            session.get_one(Split, split.id).progress = 0.5
    assert begin(someone, split.id) is None
    assert found(someone, split.id).error_code == "INTERNAL"


@pytest.mark.parametrize(
    "end",
    [
        pytest.param(service.postpone, id="the worker lacks something"),
        pytest.param(service.release, id="the worker stops"),
    ],
)
def test_an_attempt_that_the_worker_ends_does_not_count(
    someone: Customer, end: Callable[[Session, str, int], None]
) -> None:
    split = someone.split()
    for number in range(1, 10):
        assert begin(someone, split.id) == number
        with someone.database.write() as session:
            end(session, split.id, number)
    assert found(someone, split.id).status == "queued"


def test_a_split_that_was_taken_but_not_begun_is_handed_back(someone: Customer) -> None:
    split = someone.split()
    with someone.database.write() as session:
        service.hand_back(session, split.id)
    assert (found(someone, split.id).status, found(someone, split.id).failures) == ("queued", 0)
    assert begin(someone, split.id) == 2
    with someone.database.write() as session:
        service.hand_back(session, split.id)  # it has begun
    assert found(someone, split.id).status == "processing"


def test_accounts_take_turns(database: Database, server_secrets: Secrets) -> None:
    many, one = (customer(database, server_secrets, seconds=6000) for _ in range(2))
    thousand = [many.split() for _ in range(50)]
    for split in thousand[:10]:
        begin(many, split.id)
    only = one.split()
    ahead = [split for split in thousand[10:] if (split.turn, split.id) < (only.turn, only.id)]
    assert len(ahead) <= 1


def test_interactive_comes_before_batch(someone: Customer) -> None:
    batch = [someone.split(priority="batch") for _ in range(3)]
    interactive = [someone.split() for _ in range(3)]
    turns = [split.turn for split in [*interactive, *batch]]
    assert turns == sorted(turns)
    assert len(set(turns)) == 6


def test_deleted(someone: Customer) -> None:
    split = someone.split()
    with someone.database.write() as session:
        deletion.delete(session, session.get_one(Split, split.id))
    assert found(someone, split.id).error_code == "CANCELED"
    assert someone.balance == 600
