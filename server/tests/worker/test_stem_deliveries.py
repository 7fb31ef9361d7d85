"""Stems that are sent to presigned URLs of the customer's own storage."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update

from aistemsplitter_server.kit import times
from aistemsplitter_server.splits import deletion
from aistemsplitter_server.splits.schemas import CreateSplit
from aistemsplitter_server.splits.tables import Split
from aistemsplitter_server.webhooks.tables import Attempt, Delivery, Receiver
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import Deliveries
from aistemsplitter_server.worker.dispatching import Dispatcher
from aistemsplitter_server.worker.stem_deliveries import StemDeliveries, deliver_stem
from customers import Customer
from peers import Peer, answers
from sweeps import sweep


def output(url: str, stem: str = "vocals", **headers: str) -> dict[str, Any]:
    """Return the output of a split whose stem is sent to this URL."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return {"type": "put_urls", "stems": {stem: {"url": url, "headers": named}}}


def found(someone: Customer) -> Delivery:
    """Return the only delivery."""
    with someone.database.read() as session:
        return session.scalars(select(Delivery)).one()


def make_due(someone: Customer) -> None:
    """Let the next attempt be due."""
    with someone.database.write() as session:
        session.execute(update(Delivery).values(next_attempt_at=times.now()))


def test_a_stem_is_sent(client: httpx2.Client, context: WorkerContext, someone: Customer) -> None:
    with Peer([answers(503, b"later"), answers(200)]) as peer:
        url = f"{peer.url}/vocals.wav?signature=1"
        someone.finished(context.storage, output=output(url, x_amz_acl="private"))
        assert Dispatcher(context, Deliveries()).dispatch() == 0, "it is no event"
        dispatcher = Dispatcher(context, StemDeliveries())
        assert dispatcher.dispatch() == 1
        assert dispatcher.wait(30)
        assert (found(someone).state, found(someone).stem) == ("pending", "vocals")
        make_due(someone)
        deliver_stem(context, found(someone).id)
        deliver_stem(context, found(someone).id)  # it is no longer due
    first, second = peer.requests
    for request in (first, second):
        assert request.line == "PUT /vocals.wav?signature=1 HTTP/1.1"
        assert request.body == b"vocals" * 1000
        assert request.header("content-type") == "audio/wav"
        assert request.header("content-length") == "6000"
        assert request.header("x-amz-acl") == "private"
    (shown,) = client.get("/v1/webhooks/deliveries").json()["data"]["items"]
    assert (shown["state"], shown["stem"], shown["url"]) == ("delivered", "vocals", url)
    with someone.database.read() as session:
        attempts = session.scalars(select(Attempt).order_by(Attempt.number)).all()
        assert [attempt.status for attempt in attempts] == [503, 200]
        assert session.scalars(select(Receiver)).all() == [], "it is no receiver of events"
    again = client.post(f"/v1/webhooks/deliveries/{shown['id']}/replay").json()["data"]
    assert (again["state"], again["stem"]) == ("pending", "vocals")


def test_what_no_further_attempt_can_change(context: WorkerContext, someone: Customer) -> None:
    split = someone.finished(context.storage, output=output("http://127.0.0.1:9/"))
    with someone.database.write() as session:
        session.execute(update(Split).values(expires_at=times.now()))
    deliver_stem(context, found(someone).id)
    assert (found(someone).state, found(someone).reason) == ("failed", "the stems were deleted")
    with someone.database.write() as session:
        deletion.delete(session, session.get_one(Split, split.id))
    sweep(context, "erasures")
    assert (found(someone).url, found(someone).headers) == ("", None)


def test_addresses_that_are_not_allowed(context: WorkerContext, someone: Customer) -> None:
    someone.finished(context.storage, output=output("http://127.0.0.2:9/", x_amz_acl="a"))
    with someone.database.write() as session:
        session.execute(update(Delivery).values(url="http://10.0.0.1/"))
    deliver_stem(context, found(someone).id)
    with someone.database.read() as session:
        assert "private or not allowed" in str(session.scalars(select(Attempt)).one().error)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"type": "ftp", "stems": {}}, "output.type"),
        ({"type": "put_urls", "stems": {}}, "output.stems"),
        (output("https://a.example/", "kazoo"), "output"),
        (output("file:///etc/passwd"), "output.stems.vocals.url"),
        (output("https://a.example/", Host="b"), "output.stems.vocals.headers"),
        (output("https://a.example/", Content_Type="a\r\nHost: b"), "output.stems.vocals.headers"),
    ],
    ids=["type", "none", "stem", "url", "header", "value"],
)
def test_invalid_outputs(
    client: httpx2.Client, someone: Customer, wrong: dict[str, Any], field: str
) -> None:
    body = someone.request(someone.upload(), output=wrong)
    answer = client.post("/v1/audio/splits", json=body)
    assert answer.status_code == 422, answer.text
    assert answer.json()["error"]["details"][0]["field"].startswith(field)


def test_a_request_without_output_has_the_fingerprint_of_earlier_versions(
    someone: Customer,
) -> None:
    request = CreateSplit.model_validate(someone.request(someone.upload()))
    assert "output" not in request.model_dump(mode="json", by_alias=True)
