from __future__ import annotations

import threading

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.credits.tables import Entry, Reservation
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, InsufficientCredits, NotFound
from aistemsplitter_server.operations import opening

LETTERS = st.sampled_from("abc")
SECONDS = st.sampled_from([30, 70, 150])


def account_with(database: Database, seconds: int) -> str:
    with database.write() as session:
        return opening.open_account(session, "someone", free_seconds=seconds).id


def total(session: Session, account_id: str) -> int:
    query = select(func.coalesce(func.sum(Entry.seconds), 0)).where(Entry.account_id == account_id)
    return session.scalars(query).one()


class Ledger(RuleBasedStateMachine):
    """Random grants, withdrawals, charges and refunds, compared with a simple model."""

    def __init__(self, database: Database) -> None:
        super().__init__()
        self.database = database
        self.balance = 200
        self.account = account_with(self.database, self.balance)
        self.charged: dict[str, int] = {}
        self.refunded: set[str] = set()
        self.reserved: dict[str, int] = {}

    @rule(seconds=SECONDS)
    def grant(self, seconds: int) -> None:
        with self.database.write() as session:
            credits.grant(session, self.account, seconds, "test")
        self.balance += seconds

    @rule(seconds=SECONDS)
    def withdraw(self, seconds: int) -> None:
        if seconds > self.balance:
            with pytest.raises(InsufficientCredits), self.database.write() as session:
                credits.withdraw(session, self.account, seconds, "test")
            return
        with self.database.write() as session:
            credits.withdraw(session, self.account, seconds, "test")
        self.balance -= seconds

    def split(self, letter: str) -> str:
        return f"{self.account}_{letter}"

    @rule(letter=LETTERS, seconds=SECONDS)
    def charge(self, letter: str, seconds: int) -> None:
        split = self.split(letter)
        try:
            with self.database.write() as session:
                credits.charge(session, self.account, split, seconds)
        except InsufficientCredits as error:
            assert split not in self.charged
            assert seconds > self.balance
            details = error.extra
            expected = {"requiredSeconds": seconds, "balanceSeconds": self.balance}
            assert details == expected
        except Conflict:
            assert split in self.refunded or self.charged[split] != seconds
        else:
            assert split not in self.refunded
            if split not in self.charged:
                assert seconds <= self.balance
                self.charged[split] = seconds
                self.balance -= seconds
                self.reserved.pop(split, None)

    def available(self, split: str) -> int:
        """Return the balance minus other reservations."""
        kept_back = sum(seconds for each, seconds in self.reserved.items() if each != split)
        return self.balance - kept_back

    @rule(letter=LETTERS, seconds=SECONDS)
    def reserve(self, letter: str, seconds: int) -> None:
        split = self.split(letter)
        try:
            with self.database.write() as session:
                credits.reserve(session, self.account, split, seconds)
        except InsufficientCredits:
            assert seconds > self.available(split)
        else:
            if split not in self.charged:
                assert seconds <= self.available(split)
                self.reserved[split] = seconds

    @rule(letter=LETTERS)
    def refund(self, letter: str) -> None:
        split = self.split(letter)
        with self.database.write() as session:
            entry = credits.refund(session, self.account, split, "test")
        self.reserved.pop(split, None)
        if split not in self.charged:
            assert entry is None
            return
        assert entry is not None
        assert entry.seconds == self.charged[split]
        if split not in self.refunded:
            self.refunded.add(split)
            self.balance += self.charged[split]

    @rule(letter=LETTERS, seconds=SECONDS)
    def crash_after_charging(self, letter: str, seconds: int) -> None:
        """Uncommitted changes have no effect."""
        split = self.split(letter)

        def attempt() -> None:
            with self.database.write() as session:
                credits.charge(session, self.account, split, seconds)
                raise KeyboardInterrupt

        with pytest.raises((KeyboardInterrupt, InsufficientCredits, Conflict)):
            attempt()

    @invariant()
    def balance_is_the_sum(self) -> None:
        with self.database.read() as session:
            assert credits.balance(session, self.account) == self.balance
            assert total(session, self.account) == self.balance
            assert self.balance >= 0
            rows = session.scalars(
                select(Reservation).where(Reservation.account_id == self.account)
            )
            assert {row.split_id: row.seconds for row in rows} == self.reserved


def test_any_order(database: Database) -> None:
    often = hypothesis_settings(max_examples=40, stateful_step_count=20)
    run_state_machine_as_test(lambda: Ledger(database), settings=often)


def test_many_threads_spend_one_balance(database: Database) -> None:
    """Ten threads try to pay for 40 splits of 10 s; the credits pay for 13."""
    account = account_with(database, 135)
    start, results = threading.Barrier(10), []

    def spend(worker: int) -> None:
        start.wait()
        for job in range(4):
            try:
                with database.write() as session:
                    credits.charge(session, account, f"split_{worker}_{job}", 10)
                results.append(True)
            except InsufficientCredits:
                results.append(False)

    threads = [threading.Thread(target=spend, args=(worker,)) for worker in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(True) == 13
    assert results.count(False) == 27
    with database.read() as session:
        assert credits.balance(session, account) == total(session, account) == 5


def test_many_threads_charge_and_refund_one_split(database: Database) -> None:
    account = account_with(database, 100)
    start = threading.Barrier(8)
    conflicts: list[Conflict] = []

    def charge_and_refund() -> None:
        start.wait()
        try:
            with database.write() as session:
                credits.charge(session, account, "split_a", 30)
        except Conflict as error:
            conflicts.append(error)
        with database.write() as session:
            credits.refund(session, account, "split_a", "failed")

    threads = [threading.Thread(target=charge_and_refund) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as session:
        kinds = sorted(session.scalars(select(Entry.kind).where(Entry.split_id == "split_a")))
        assert kinds == ["charge", "refund"]
        assert credits.balance(session, account) == total(session, account) == 100


@pytest.mark.parametrize(
    "wrong",
    [
        {"balance": -5, "seconds": -105},
        {"number": 1},
        {"kind": "gift"},
        {"seconds": 0},
        {"split_id": None},
    ],
)
def test_the_tables_constraints(database: Database, wrong: dict[str, object]) -> None:
    account = account_with(database, 100)
    with database.write() as session:
        entry = credits.charge(session, account, "split_a", 10)
    values = {column.name: getattr(entry, column.name) for column in Entry.__table__.columns}
    values |= {"id": "ent_other", "number": 3, "balance": 80, "split_id": "split_b"} | wrong
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(Entry(**values))


def test_unknown_account(database: Database) -> None:
    with pytest.raises(NotFound), database.write() as session:
        credits.grant(session, "acc_unknown", 10, "test")


@pytest.mark.parametrize("seconds", [0, -1])
def test_amounts_are_positive(database: Database, seconds: int) -> None:
    account = account_with(database, 10)
    with database.write() as session:
        with pytest.raises(ValueError, match="more than 0"):
            credits.grant(session, account, seconds, "test")
        with pytest.raises(ValueError, match="more than 0"):
            credits.charge(session, account, "split_a", seconds)
