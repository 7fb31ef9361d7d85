from __future__ import annotations

from datetime import timedelta

from sqlalchemy import update

from aistemsplitter_server.kit import round_robin, times
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.round_robin import Waiting
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.webhooks import service
from aistemsplitter_server.webhooks.tables import Delivery
from customers import Customer, customer
from databases import only_sqlite
from query_plans import planned


def deliveries(someone: Customer, number: int) -> None:
    account_id, key_id = someone.caller.account_id, someone.caller.key_id
    with someone.database.write() as session:
        for _ in range(number):
            service.send_test(session, account_id, key_id, "https://a.example", "split.failed")


def accounts(database: Database, after: str = "", limit: int = 10) -> list[Waiting]:
    with database.read() as session:
        return round_robin.accounts(
            session,
            Delivery.account_id,
            Delivery.next_attempt_at,
            now=times.now(),
            after=after,
            limit=limit,
        )


def test_each_account_once(database: Database, server_secrets: Secrets) -> None:
    assert accounts(database) == []
    customers = [customer(database, server_secrets) for _ in range(4)]
    ids = [each.caller.account_id for each in customers]
    for each, number in zip(customers, (30, 1, 0, 2), strict=True):
        deliveries(each, number)
    with database.write() as session:
        later = update(Delivery).where(Delivery.account_id == ids[1])
        session.execute(later.values(next_attempt_at=times.now() + timedelta(hours=1)))
    waiting = [Waiting(ids[0], True), Waiting(ids[1], False), Waiting(ids[3], True)]
    assert accounts(database) == sorted(waiting)
    assert accounts(database, limit=2) == sorted(waiting)[:2]
    assert accounts(database, after=sorted(waiting)[0].account_id) == sorted(waiting)[1:]
    with database.write() as session:
        session.execute(update(Delivery).values(next_attempt_at=None))
    assert accounts(database) == []


@only_sqlite
def test_no_table_row_is_read(database: Database) -> None:
    with planned(database) as plans:
        accounts(database)
    (plan,) = plans
    assert "SCAN deliveries" not in plan
    assert plan.count("COVERING INDEX ix_deliveries_account_id_next_attempt_at") == 3, plan
