"""Fetching songs: limits, reserved credits and claims."""

from __future__ import annotations

import socket
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from unittest.mock import Mock

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from aistemsplitter_server.accounts import limits
from aistemsplitter_server.credits.tables import Entry, Reservation
from aistemsplitter_server.kit import jobs, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.measuring.measure import Measured
from aistemsplitter_server.splits import fetches, service
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.worker import fetching, reconciliation
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.dispatching import Dispatcher
from aistemsplitter_server.worker.fetching import Fetches, fetch
from customers import Customer, customer
from databases import only_sqlite
from peers import Behaviour, Peer, answers, drips, hangs
from query_plans import planned

DRIPPING = drips(b"HTTP/1.1 200 So\r\nContent-Length: 1000000\r\n\r\n", b"x", 0.1)


@pytest.fixture
def someone(database: Database, server_secrets: Secrets) -> Customer:
    """A customer with ten minutes of credits."""
    return customer(database, server_secrets)


@pytest.fixture
def other(database: Database, server_secrets: Secrets) -> Customer:
    return customer(database, server_secrets)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every song have 20 s, because measuring in a child process is slow."""
    twenty_seconds = Measured(duration_seconds=20.0, sample_rate=44100, channels=2)
    monkeypatch.setattr(fetching, "measure", lambda *_: twenty_seconds)


def found(database: Database, split_id: str) -> Split:
    with database.read() as session:
        return session.get_one(Split, split_id)


def reserved(database: Database) -> dict[str, int]:
    with database.read() as session:
        return {row.split_id: row.seconds for row in session.scalars(select(Reservation))}


def make_due(database: Database) -> None:
    with database.write() as session:
        session.execute(
            update(Split).where(Split.fetch_at.is_not(None)).values(fetch_at=times.now())
        )


def announces(size: int, then: Callable[[], None]) -> Behaviour:
    """Announce that many bytes, call a function, and disconnect."""

    def behave(_peer: object, connection: socket.socket, _request: object) -> None:
        head = f"HTTP/1.1 200 So\r\nContent-Length: {size}\r\n\r\n"
        connection.sendall(head.encode())
        then()

    return behave


@pytest.mark.usefixtures("measured")
def test_slow_urls_of_one_account_do_not_delay_others(
    context: WorkerContext, someone: Customer, other: Customer
) -> None:
    dispatcher = Dispatcher(context, Fetches(context.settings))
    with Peer([DRIPPING]) as slow, Peer([answers(200, b"a song")]) as quick:
        for _ in range(40):
            someone.fetch(slow.url)
        assert dispatcher.dispatch() == context.settings.account_concurrent_fetches
        theirs = other.fetch(quick.url)
        assert dispatcher.dispatch() == 1  # they have free places
        while not found(context.database, theirs).duration_seconds:
            dispatcher.wait(0.02)
    assert dispatcher.wait(60)
    split = found(context.database, theirs)
    assert (split.status, split.credits_used, split.fetch_at) == ("queued", 20, None)
    assert other.balance == 600 - 20


def test_the_limit_per_account(context: WorkerContext, someone: Customer) -> None:
    with context.database.write() as session:
        limits.set_limits(session, someone.caller.account_id, {"concurrent_fetches": 1})
    dispatcher = Dispatcher(context, Fetches(context.settings))
    with Peer([hangs]) as slow:
        for _ in range(3):
            someone.fetch(slow.url)
        assert dispatcher.dispatch() == 1
        with context.database.write() as session:
            limits.set_limits(session, someone.caller.account_id, {"concurrent_fetches": 0})
        assert dispatcher.dispatch() == 2
    assert dispatcher.wait(60)


def test_the_limit_per_host(
    context: WorkerContext, server_secrets: Secrets, someone: Customer
) -> None:
    dispatcher = Dispatcher(context, Fetches(context.settings))
    with Peer([hangs]) as slow, Peer([hangs]) as another:
        for _ in range(6):
            customer(context.database, server_secrets).fetch(slow.url)
        assert dispatcher.dispatch() == Fetches.limits.host
        someone.fetch(another.url)
        assert dispatcher.dispatch() == 1
    assert dispatcher.wait(60)


@pytest.mark.parametrize(("size", "seconds"), [(1000, 1), (100 * fetches.DENSEST + 1, 100)])
def test_credits_are_reserved_for_the_announced_size(
    context: WorkerContext, someone: Customer, size: int, seconds: int
) -> None:
    seen: list[dict[str, int]] = []
    with Peer([announces(size, lambda: seen.append(reserved(context.database)))]) as peer:
        split_id = someone.fetch(peer.url)
        fetch(context, split_id)
    # The download was cut while they were reserved; the split failed and no reservation is left.
    assert seen[-1] in ({split_id: seconds}, {})
    split = found(context.database, split_id)
    assert (split.status, split.error_code) == ("failed", "INPUT_UNREACHABLE")
    assert reserved(context.database) == {}
    assert someone.balance == 600


def begun(context: WorkerContext, someone: Customer) -> str:
    """Return a split whose fetch has begun."""
    split_id = someone.fetch("http://a.example/")
    with context.database.write() as session:
        assert fetches.begin(session, split_id, "wrk_1")
    return split_id


@pytest.mark.parametrize(
    ("chosen", "seconds"),
    [({"previewSeconds": 10}, 10), ({"shifts": 3}, 1200), (None, 400)],
    ids=["preview", "shifts", "plain"],
)
def test_options_change_what_is_reserved(
    context: WorkerContext, someone: Customer, chosen: dict[str, int] | None, seconds: int
) -> None:
    split_id = begun(context, someone)
    with context.database.write() as session:
        session.get_one(Split, split_id).options = chosen
        service.credits.grant(session, someone.caller.account_id, 1000, "test")
    with context.database.write() as session:
        fetches.announce_size(session, split_id, 1, 400 * fetches.DENSEST)
    assert reserved(context.database) == {split_id: seconds}


def test_reserved_credits_are_not_available_to_another_song(
    context: WorkerContext, someone: Customer
) -> None:
    first, second = begun(context, someone), begun(context, someone)
    with context.database.write() as session:
        fetches.announce_size(session, first, 1, 400 * fetches.DENSEST)
    with (
        context.database.write() as session,
        pytest.raises(service.credits.InsufficientCredits) as caught,
    ):
        fetches.announce_size(session, second, 1, 300 * fetches.DENSEST)
    assert caught.value.extra == {"requiredSeconds": 300, "balanceSeconds": 200}
    with context.database.write() as session:
        service.cancel(session, session.get_one(Split, first))
    with context.database.write() as session:
        fetches.announce_size(session, second, 1, 300 * fetches.DENSEST)
    assert reserved(context.database) == {second: 300}
    with context.database.read() as session:  # the ledger contains only the free credits
        assert session.scalars(select(Entry.kind)).all() == ["grant"]


def test_songs_that_are_fetched_do_not_refuse_one_that_can_be_paid(
    context: WorkerContext, someone: Customer
) -> None:
    waiting, last = begun(context, someone), begun(context, someone)
    with context.database.write() as session:
        for split_id in (waiting, last):
            fetches.announce_size(session, split_id, 1, None)
    with context.database.write() as session:
        allowed = limits.limits_of(session, context.settings, someone.caller.account_id)
        fetches.finish(session, last, 1, 600, 44100, size=1000, allowed=allowed)
    assert someone.balance == 0
    assert reserved(context.database) == {waiting: 1}


def test_a_song_that_is_too_expensive_is_not_downloaded(
    context: WorkerContext, someone: Customer
) -> None:
    head = f"HTTP/1.1 200 So\r\nContent-Length: {700 * fetches.DENSEST}\r\n\r\n".encode()
    settings = context.settings.model_copy(update={"upload_limit": 1 << 40})
    strict = WorkerContext(
        settings, context.database, context.secrets, context.storage, context.outgoing, "wrk_1"
    )
    with Peer([drips(head, b"", 60)]) as peer:  # the server never sends a byte
        split_id = someone.fetch(peer.url)
        fetch(strict, split_id)
    assert found(context.database, split_id).error_code == "INSUFFICIENT_CREDITS"
    assert reserved(context.database) == {}


@pytest.mark.usefixtures("measured")
def test_the_charge_replaces_the_reservation(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(200, b"a song")]) as peer:
        split_id = someone.fetch(peer.url)
        fetch(context, split_id)
    assert found(context.database, split_id).credits_used == 20
    assert reserved(context.database) == {}
    assert someone.balance == 580


def test_a_claim_is_renewed_and_expires(context: WorkerContext, someone: Customer) -> None:
    split_id = someone.fetch("http://songs.example/")
    with context.database.write() as session:
        assert fetches.begin(session, split_id, context.worker_id)
        assert fetches.begin(session, split_id, "wrk_2") is None
    table = Fetches(context.settings)
    make_due(context.database)  # about to expire
    table.renew(context, [split_id])
    with context.database.write() as session:
        assert fetches.begin(session, split_id, "wrk_2") is None
    make_due(context.database)  # its worker has died
    with context.database.write() as session:
        taken = fetches.begin(session, split_id, "wrk_2")
        assert taken is not None
        assert (taken.attempt, taken.failures) == (2, 2)
    make_due(context.database)
    table.renew(context, [split_id])  # the first worker was only stalled, but has lost its claim
    fetch_at = found(context.database, split_id).fetch_at
    assert fetch_at is not None
    assert fetch_at <= times.now()


def test_a_stopping_worker_releases_its_songs(context: WorkerContext, someone: Customer) -> None:
    with Peer([DRIPPING]) as peer:
        split_id = someone.fetch(peer.url)
        context.stopping.set()
        fetch(context, split_id)
    split = found(context.database, split_id)
    assert (split.status, split.failures, split.worker_id) == ("queued", 0, None)
    assert split.fetch_at is not None
    assert split.fetch_at <= times.now()


@pytest.mark.usefixtures("measured")
def test_a_failed_fetch_is_retried_later(
    context: WorkerContext, someone: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context.storage, "put_file", Mock(side_effect=OSError("no space")))
    with Peer([answers(200, b"a song")]) as peer:
        split_id = someone.fetch(peer.url)
        for number in range(1, service.ATTEMPTS):
            fetch(context, split_id)
            split = found(context.database, split_id)
            assert split.status == "queued"
            assert split.fetch_at is not None
            later = (split.fetch_at - times.now()).total_seconds()
            assert 0 < later <= number * service.RETRY_DELAY
            make_due(context.database)
        fetch(context, split_id)
    assert found(context.database, split_id).error_code == "INTERNAL"
    assert reserved(context.database) == {}
    assert someone.balance == 600


@pytest.mark.parametrize("fails", ["begin", "announce_size", "finish"])
@pytest.mark.usefixtures("measured")
def test_a_long_database_outage(
    context: WorkerContext, someone: Customer, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    """Longer than a worker waits: the song becomes due again."""
    away = OperationalError("", {}, Exception("the database is away"))
    with Peer([answers(200, b"a song")]) as peer:
        split_id = someone.fetch(peer.url)
        with monkeypatch.context() as patch:
            patch.setattr("aistemsplitter_server.worker.context.DATABASE_TIMEOUT", -1.0)
            patch.setattr(fetches, fails, Mock(side_effect=away))
            patch.setattr(service, "retry", Mock(side_effect=away))
            with pytest.raises(OperationalError):
                fetch(context, split_id)
        assert found(context.database, split_id).fetch_at is not None
        make_due(context.database)
        fetch(context, split_id)
    assert found(context.database, split_id).credits_used == 20


def test_a_song_that_an_older_version_queued(context: WorkerContext, someone: Customer) -> None:
    split_id = someone.fetch("http://songs.example/")
    before = times.now() - reconciliation.LOST_AFTER - timedelta(seconds=1)
    with context.database.write() as session:
        session.execute(update(Split).values(fetch_at=None, updated_at=before))
    with jobs.working(context.database, "worker", {}, []):
        reconciliation.splits(context, "")
    assert found(context.database, split_id).fetch_at is not None


@only_sqlite
def test_due_songs_are_found_by_an_index(context: WorkerContext, someone: Customer) -> None:
    with Peer([hangs]) as peer:
        someone.fetch(peer.url)
        dispatcher = Dispatcher(context, Fetches(context.settings))
        with planned(context.database) as plans:
            dispatcher.dispatch()
    assert dispatcher.wait(60)
    assert not any("SCAN splits" in plan for plan in plans), plans


def test_nothing_is_left_in_the_work_folder(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(404)]) as peer:
        fetch(context, someone.fetch(peer.url))
    assert list(Path(context.settings.data, "work").iterdir()) == []
