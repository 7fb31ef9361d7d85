"""Dispatchers: fair turns, and limits per account and host."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import func, select, text, update

from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.webhooks import attempts, service
from aistemsplitter_server.webhooks.tables import Attempt, Delivery
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import Deliveries
from aistemsplitter_server.worker.dispatching import Dispatcher, Limits
from customers import Customer, customer
from databases import only_sqlite
from peers import Peer, answers, hangs
from query_plans import planned


class Held(Deliveries):
    """Deliveries whose attempts last until they are released."""

    def __init__(self, **limits: int) -> None:
        self.limits = replace(Limits(total=100, host=100, url=100), **limits)
        self.begun: list[str] = []
        self.let_go = threading.Event()

    def run(self, context: WorkerContext, item_id: str) -> None:
        with context.database.write() as session:
            assert attempts.begin(session, item_id)
            self.begun.append(session.get_one(Delivery, item_id).account_id)
        self.let_go.wait(60)


@pytest.fixture
def other(database: Database, server_secrets: Secrets) -> Customer:
    return customer(database, server_secrets)


@pytest.fixture
def held() -> Held:
    return Held()


@pytest.fixture
def dispatcher(context: WorkerContext, held: Held) -> Iterator[Dispatcher]:
    """A dispatcher of held deliveries, whose jobs end before the database is closed."""
    dispatcher = Dispatcher(context, held)
    yield dispatcher
    held.let_go.set()
    assert dispatcher.wait(60)


def send(someone: Customer, *urls: str) -> list[str]:
    """Create deliveries to these URLs, due now."""
    account_id, key_id = someone.caller.account_id, someone.caller.key_id
    with someone.database.write() as session:
        return [
            service.send_test(session, account_id, key_id, url, "split.failed")[0].id
            for url in urls
        ]


def states(database: Database, ids: list[str]) -> list[str]:
    with database.read() as session:
        return [session.get_one(Delivery, each).state for each in ids]


def test_a_flood_to_a_slow_receiver_does_not_delay_others(
    context: WorkerContext, someone: Customer, other: Customer
) -> None:
    with Peer([hangs]) as slow, Peer([answers(204)]) as quick:
        send(someone, *(f"{slow.url}/{number}" for number in range(100)))
        dispatcher = Dispatcher(context, Deliveries())
        assert dispatcher.dispatch() == Deliveries.per_account
        (theirs,) = send(other, quick.url)
        assert dispatcher.dispatch() == 1  # they have free places
        while states(context.database, [theirs]) != ["delivered"]:
            dispatcher.wait(0.01)
        assert dispatcher.dispatch() == 0
    assert dispatcher.wait(60)
    with context.database.read() as session:
        # As many rows as attempts, and no job.
        assert (
            session.scalar(select(func.count()).select_from(Attempt)) == Deliveries.per_account + 1
        )
        jobs = "workflow_status" if context.database.sqlite else "dbos.workflow_status"
        assert session.scalar(text(f"SELECT count(*) FROM {jobs}")) == 0


def test_a_slow_receiver_leaves_room_for_others_of_the_account(
    context: WorkerContext, someone: Customer
) -> None:
    with Peer([hangs]) as slow, Peer([answers(204)]) as quick:
        send(someone, *[slow.url] * 50)
        (good,) = send(someone, quick.url)
        dispatcher = Dispatcher(context, Deliveries())
        while states(context.database, [good]) != ["delivered"]:
            dispatcher.dispatch()
            dispatcher.wait(0.01)
        assert len(slow.requests) <= Deliveries.limits.url
    assert dispatcher.wait(60)


def test_accounts_take_turns_for_limited_places(
    database: Database, server_secrets: Secrets, held: Held, dispatcher: Dispatcher
) -> None:
    customers = [customer(database, server_secrets) for _ in range(4)]
    held.limits = Limits(total=3, host=100, url=100)
    for each in customers:
        send(each, *["https://receiver.example/"] * 5)
    for _ in range(4):
        held.let_go = threading.Event()
        assert dispatcher.dispatch() == 3
        assert dispatcher.dispatch() == 0
        held.let_go.set()
        assert dispatcher.wait(60)
    begun = [held.begun.count(each.caller.account_id) for each in customers]
    assert begun == [3, 3, 3, 3]


def test_one_account_alone_gets_its_maximum(someone: Customer, dispatcher: Dispatcher) -> None:
    send(someone, *["https://receiver.example/"] * 50)
    assert dispatcher.dispatch() == Deliveries.per_account


def test_a_host_at_its_limit_does_not_block_others(
    someone: Customer, other: Customer, held: Held, dispatcher: Dispatcher
) -> None:
    held.limits = Limits(total=100, host=1, url=100)
    send(someone, *["https://full.example/"] * 3, "https://free.example/")
    send(other, "https://full.example/", "https://FREE.example/")
    assert dispatcher.dispatch() == 2


@pytest.mark.parametrize(
    ("limits", "slow", "quick"),
    [
        pytest.param(
            Limits(total=2 * Deliveries.per_account, host=100, url=100),
            "https://slow.example/",
            "https://quick.example/",
            id="of the process",
        ),
        pytest.param(
            Limits(total=100, host=2 * Deliveries.per_account, url=100),
            "https://shared.example/slow",
            "https://shared.example/quick",
            id="to the host",
        ),
    ],
)
def test_slow_rows_of_two_accounts_leave_the_last_place_for_a_third(
    limits: Limits,
    slow: str,
    quick: str,
    database: Database,
    server_secrets: Secrets,
    someone: Customer,
    other: Customer,
    held: Held,
    dispatcher: Dispatcher,
) -> None:
    held.limits = limits
    for each in (someone, other):
        send(each, *[slow] * 2 * Deliveries.per_account)
    assert dispatcher.dispatch() == 2 * Deliveries.per_account - 1
    assert dispatcher.dispatch() == 0
    send(customer(database, server_secrets), quick)
    assert dispatcher.dispatch() == 1


def test_deliveries_of_another_process_are_not_started(
    database: Database, someone: Customer, dispatcher: Dispatcher
) -> None:
    (one,) = send(someone, "https://receiver.example/")
    with database.write() as session:
        assert attempts.begin(session, one)
    assert dispatcher.dispatch() == 0
    with database.write() as session:  # the other process has died, and its claim has expired
        session.execute(update(Delivery).values(next_attempt_at=times.now()))
    assert dispatcher.dispatch() == 1


def test_polling_only_reads(
    someone: Customer, held: Held, dispatcher: Dispatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    held.limits = Limits(total=100, host=1, url=1)
    send(someone, *["https://receiver.example/"] * 10)
    assert dispatcher.dispatch() == 1
    while not held.begun:
        dispatcher.wait(0.01)

    def write(_database: Database) -> None:
        raise AssertionError("polling wrote to the database")

    monkeypatch.setattr(Database, "write", write)
    assert dispatcher.dispatch() == 0


def test_a_failed_job_frees_its_place(context: WorkerContext, someone: Customer) -> None:
    class Failing(Held):
        def run(self, _context: WorkerContext, _item_id: str) -> None:
            raise RuntimeError

    send(someone, "https://receiver.example/")
    dispatcher = Dispatcher(context, Failing(total=1))
    for _ in range(3):
        assert dispatcher.dispatch() == 1
        assert dispatcher.wait(60)


def test_dispatching_ends_when_the_worker_stops(context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(204)]) as peer:
        dispatcher = Dispatcher(context, Deliveries())
        dispatcher.start()
        ids = send(someone, *[peer.url] * 10)
        while set(states(context.database, ids)) != {"delivered"}:
            dispatcher.wait(0.05)
        context.stopping.set()
        assert dispatcher.wait(60)
    assert len(peer.requests) == 10


@only_sqlite
def test_due_rows_are_found_by_an_index(
    database: Database, someone: Customer, dispatcher: Dispatcher
) -> None:
    send(someone, "https://receiver.example/")
    with planned(database) as plans:
        dispatcher.dispatch()
    assert not any("SCAN deliveries" in plan for plan in plans), plans
