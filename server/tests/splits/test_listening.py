from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import deletion, listening, service
from aistemsplitter_server.splits.tables import Listening, Split
from customers import Customer, customer

KEPT = timedelta(hours=72)


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with ten minutes of credits."""
    return customer(database, server_secrets)


def succeeded(someone: Customer) -> str:
    split = someone.split()
    with someone.database.write() as session:
        begun = service.begin(session, split.id, "wrk_1")
        assert begun is not None
        service.succeed(
            session, split.id, begun.attempt, sample_rate=44100, warnings=[], retention=KEPT
        )
    return split.id


def copy_of(someone: Customer, split_id: str) -> Listening | None:
    with someone.database.read() as session:
        return session.get(Listening, split_id)


def request(someone: Customer, split_id: str) -> Listening:
    with someone.database.write() as session:
        return listening.request(session, session.get_one(Split, split_id))


def test_only_splits_of_the_studio_get_copies_immediately(someone: Customer) -> None:
    assert copy_of(someone, succeeded(someone)) is None
    in_studio = replace(someone, caller=replace(someone.caller, key_id="usr_1"))
    copy = copy_of(someone, succeeded(in_studio))
    assert copy is not None
    assert (copy.state, copy.attempt) == ("queued", 1)


def test_a_repeated_request_makes_no_second_copy(someone: Customer) -> None:
    split_id = succeeded(someone)
    first, second = request(someone, split_id), request(someone, split_id)
    assert first.requested_at == second.requested_at
    with someone.database.write() as session:
        assert listening.wanted(session, split_id) is not None
        assert listening.ready(session, split_id, 1000)
    with someone.database.write() as session:
        assert listening.wanted(session, split_id) is None, "a repeated job has nothing to do"
        listening.fail(session, split_id, "too late")
    assert request(someone, split_id).state == "ready"


def test_a_failed_copy_is_retried_after_a_while(someone: Customer) -> None:
    split_id = succeeded(someone)
    request(someone, split_id)
    with someone.database.write() as session:
        listening.fail(session, split_id, "no room")
    copy = request(someone, split_id)
    assert (copy.state, copy.reason) == ("failed", "no room")
    assert listening.is_asked_for(copy, times.now())
    later = times.now() + listening.RETRY_AFTER + timedelta(seconds=1)
    assert not listening.is_asked_for(copy, later)
    with someone.database.write() as session:
        session.get_one(Listening, split_id).requested_at -= timedelta(minutes=2)
    copy = request(someone, split_id)
    assert (copy.state, copy.reason) == ("queued", None)


def test_no_copy_of_deleted_and_expired_splits(someone: Customer) -> None:
    deleted, expired = succeeded(someone), succeeded(someone)
    for split_id in (deleted, expired):
        request(someone, split_id)
    with someone.database.write() as session:
        deletion.delete(session, session.get_one(Split, deleted))
        session.get_one(Split, expired).expires_at = times.now()
    for split_id in (deleted, expired):
        with someone.database.write() as session:
            assert listening.wanted(session, split_id) is None
            assert not listening.ready(session, split_id, 1000)


@pytest.mark.parametrize(
    ("stems", "whole"),
    [
        (["vocals", "other", "bass", "drums"], ("drums", "bass", "other", "vocals")),
        (["instrumental", "vocals"], ("vocals", "instrumental")),
        (["vocals", "drums"], ()),
        (["instrumental"], ()),
    ],
)
def test_stems_that_sum_to_the_song(stems: list[str], whole: tuple[str, ...]) -> None:
    assert listening.whole(Split(served_by="htdemucs_tiny", stems=stems)) == whole
