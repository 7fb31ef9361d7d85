"""Concurrent actions on splits: the ledger is consistent, and each split is charged once."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.errors import Conflict, InsufficientCredits
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.splits import service
from aistemsplitter_server.splits.service import Superseded
from aistemsplitter_server.splits.tables import Split
from customers import Customer, customer
from invariants import ledger

SPLITS, THREADS, STEPS = 12, 6, 25
SECONDS = 50  # duration of each song; the credits pay for eight


class Crash(Exception):
    """A crash of the process before its commit."""


def test_concurrent_actions_in_any_order(database: Database, server_secrets: Secrets) -> None:
    someone = customer(database, server_secrets, seconds=SECONDS * 8 + 30)
    made: list[str] = []
    failed: list[Exception] = []
    start = threading.Barrier(THREADS)

    def act(seed: int) -> None:
        chance = random.Random(seed)
        start.wait()
        for _ in range(STEPS):
            try:
                if len(made) < SPLITS and (not made or chance.random() < 0.3):
                    made.append(someone.split(SECONDS).id)
                else:
                    _once(database, someone, chance, chance.choice(made))
            except (InsufficientCredits, Conflict, Superseded, Crash):
                pass
            except Exception as error:
                failed.append(error)

    threads = [threading.Thread(target=act, args=(seed,)) for seed in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    with database.read() as session:
        rows = {row.id: row for row in session.scalars(select(Split))}
        assert rows.keys() == set(made)
        assert list(ledger(session, someone, rows)) == []
        standing = sum(row.credits_used for row in rows.values())
    assert someone.balance == SECONDS * 8 + 30 - standing >= 0


def _once(database: Database, someone: Customer, chance: random.Random, split_id: str) -> None:
    """Perform one action on a split, as its owner or as a possibly outdated worker."""

    def fail(session: Session, attempt: int) -> None:
        service.fail(session, service.current(session, split_id, attempt), "INTERNAL", "test")

    def succeed(session: Session, attempt: int) -> None:
        service.succeed(
            session, split_id, attempt, sample_rate=44100, warnings=[], retention=timedelta(1)
        )

    def cancel(session: Session, _attempt: int) -> None:
        account_id = someone.caller.account_id
        split = service.of_account(session, account_id, split_id, is_test=None, lock=True)
        service.cancel(session, split)

    def begin(session: Session, _attempt: int) -> None:
        service.begin(session, split_id, "worker")

    def retry(session: Session, attempt: int) -> None:
        service.retry(session, split_id, attempt)

    def lost(session: Session, _attempt: int) -> None:
        service.requeue_lost(session, session.get_one(Split, split_id))

    actions: list[Callable[[Session, int], None]] = [
        begin,
        begin,
        begin,
        retry,
        lost,
        fail,
        succeed,
        cancel,
    ]
    with database.read() as session:
        attempt = session.get_one(Split, split_id).attempt
    with database.write() as session:
        chance.choice(actions)(session, attempt)
        if chance.random() < 0.2:
            raise Crash
