from __future__ import annotations

import httpx2
import pytest
from sqlalchemy import select, update

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import service as splits
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks.tables import Delivery, Receiver
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import deliver
from customers import Customer
from peers import Peer, answers

DELIVERIES = "/v1/webhooks/deliveries"


@pytest.fixture
def client(client: httpx2.Client, someone: Customer) -> httpx2.Client:
    """A client with the customer's key."""
    client.headers.update(someone.headers)
    return client


def announced(someone: Customer, url: str) -> str:
    """The id of a waiting delivery."""
    split = someone.split(1)
    with someone.database.write() as session:
        row = session.get_one(Split, split.id)
        row.webhook_url = url
        splits.cancel(session, row)
        query = select(Delivery.id).order_by(Delivery.id.desc())
        return session.scalars(query).first() or ""


def test_the_list_of_deliveries(
    client: httpx2.Client, context: WorkerContext, someone: Customer
) -> None:
    with Peer([answers(500, b"no"), answers(200, b"yes")]) as peer:
        delivery_id = announced(someone, peer.url)
        deliver(context, delivery_id)
        waiting = client.get(DELIVERIES, params={"state": "pending"}).json()["data"]["items"]
        assert [item["id"] for item in waiting] == [delivery_id]
        assert waiting[0]["nextAttemptAt"] is not None
        with someone.database.write() as session:
            session.get_one(Delivery, delivery_id).next_attempt_at = times.now()
        deliver(context, delivery_id)
    shown = client.get(f"{DELIVERIES}/{delivery_id}").json()["data"]
    assert (shown["state"], shown["attempts"]) == ("delivered", 2)
    assert [(each["status"], each["answer"]) for each in shown["log"]] == [
        (500, "no"),
        (200, "yes"),
    ]


def test_pages(client: httpx2.Client, someone: Customer) -> None:
    made = [announced(someone, "http://127.0.0.1:9/") for _ in range(5)]
    seen: list[str] = []
    cursor = None
    while True:
        params = {"limit": 2} | ({} if cursor is None else {"cursor": cursor})
        page = client.get(DELIVERIES, params=params).json()["data"]
        seen += [item["id"] for item in page["items"]]
        cursor = page["nextCursor"]
        if cursor is None:
            break
    assert seen == sorted(made, reverse=True)
    assert client.get(DELIVERIES, params={"cursor": "x"}).status_code == 422


def test_replay(client: httpx2.Client, context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(410), answers(200)]) as peer:
        first = announced(someone, peer.url)
        deliver(context, first)
        with someone.database.write() as session:
            now = times.now()
            session.execute(update(Receiver).values(disabled_at=now, disabled_reason="disabled"))
        again = client.post(f"{DELIVERIES}/{first}/replay").json()["data"]
        assert (again["state"], again["attempts"]) == ("pending", 0)
        deliver(context, again["id"])
    bodies = [request.body for request in peer.requests]
    assert len(bodies) == 2
    assert bodies[0][:40] == bodies[1][:40]  # the event's id
    assert client.get(f"{DELIVERIES}/{again['id']}").json()["data"]["state"] == "delivered"
    assert again["eventId"] == client.get(f"{DELIVERIES}/{first}").json()["data"]["eventId"]
