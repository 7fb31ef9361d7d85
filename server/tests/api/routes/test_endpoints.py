from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx2
import pytest
from jsonschema import Draft202012Validator
from sqlalchemy import select, update

import aistemsplitter
from aistemsplitter_server.accounts import limits
from aistemsplitter_server.accounts.scopes import Scope
from aistemsplitter_server.accounts.tables import ApiKey
from aistemsplitter_server.api.app import routed
from aistemsplitter_server.api.openapi import document
from aistemsplitter_server.audit.tables import AuditEntry
from aistemsplitter_server.kit import times
from aistemsplitter_server.kit.outgoing import Answer, Outgoing
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.webhooks import attempts
from aistemsplitter_server.webhooks.tables import Delivery, Endpoint
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import deliver
from customers import Customer, customer
from databases import only_postgres
from deliveries import delivery, failed_split, headers
from peers import Peer, Request, answers

ENDPOINTS, EVENTS = "/v1/webhooks/endpoints", "/v1/events"


@pytest.fixture
def client(client: httpx2.Client, someone: Customer) -> httpx2.Client:
    """A client with the customer's key."""
    client.headers.update(someone.headers)
    return client


def created(client: httpx2.Client, url: str, **fields: Any) -> dict[str, Any]:
    """Create an endpoint and return it with its secret."""
    response = client.post(ENDPOINTS, json={"url": url, **fields})
    assert response.status_code == 200, response.text
    made: dict[str, Any] = response.json()["data"]
    return made


def deliver_newest(context: WorkerContext, someone: Customer) -> Delivery:
    """Make the next attempt at the newest delivery now, and return it."""
    with someone.database.write() as session:
        pending = update(Delivery).where(Delivery.next_attempt_at.is_not(None))
        session.execute(pending.values(next_attempt_at=times.now()))
    newest = select(Delivery).order_by(Delivery.id.desc()).limit(1)
    with someone.database.read() as session:
        deliver(context, session.scalars(newest).one().id)
    with someone.database.read() as session:
        return session.scalars(newest).one()


def is_signed(request: Request, secret: str) -> bool:
    try:
        aistemsplitter.verify_signature(headers(request), request.body, secret)
    except aistemsplitter.InvalidWebhook:
        return False
    return True


def test_the_life_of_an_endpoint(
    client: httpx2.Client, context: WorkerContext, someone: Customer
) -> None:
    """It receives events, rotates its secret, moves, is disabled, enabled and deleted."""
    with Peer([answers(204)]) as peer, Peer([answers(500), answers(204)]) as other:
        made = created(client, f"{peer.url}/a", description="orders")
        assert made["events"] == ["split.succeeded", "split.failed"]
        (listed,) = client.get(ENDPOINTS).json()["data"]["items"]
        assert {**listed, "secret": made["secret"]} == made
        path = f"{ENDPOINTS}/{made['id']}"

        failed_split(someone, None)
        found = deliver_newest(context, someone)
        assert (found.state, found.endpoint_id) == ("delivered", made["id"])
        assert is_signed(peer.requests[0], made["secret"])
        described = document(routed(), "http://127.0.0.1")
        media = described["webhooks"]["split.failed"]["post"]["requestBody"]["content"]
        schema = {**media["application/json"]["schema"], "components": described["components"]}
        Draft202012Validator(schema).validate(json.loads(peer.requests[0].body))
        assert not is_signed(peer.requests[0], someone.webhook_secret)

        new = client.post(f"{path}/rotate-secret").json()["data"]
        assert new["previousSecretUntil"] is not None
        failed_split(someone, None)
        deliver_newest(context, someone)
        assert is_signed(peer.requests[1], made["secret"])
        assert is_signed(peer.requests[1], new["secret"])

        failed_split(someone, None)  # a pending delivery goes to the new URL
        changed = client.patch(path, json={"url": f"{other.url}/b", "description": ""}).json()
        assert (changed["data"]["url"], changed["data"]["description"]) == (f"{other.url}/b", "")
        assert deliver_newest(context, someone).url == f"{other.url}/b"

        disabled = client.patch(path, json={"disabled": True}).json()["data"]
        assert (disabled["disabled"], disabled["disabledReason"]) == (True, "disabled with the API")
        found = deliver_newest(context, someone)
        assert (found.state, found.reason) == ("failed", "disabled with the API")
        replay = f"/v1/webhooks/deliveries/{found.id}/replay"
        assert client.post(replay).status_code == 409
        failed_split(someone, None)
        assert len(client.get("/v1/webhooks/deliveries").json()["data"]["items"]) == 3

        enabled = client.patch(path, json={"disabled": False}).json()["data"]
        assert (enabled["disabled"], enabled["failingSince"]) == (False, None)
        again = client.post(replay).json()["data"]
        assert (again["endpointId"], again["url"]) == (made["id"], f"{other.url}/b")
        assert deliver_newest(context, someone).state == "delivered"

        client.patch(path, json={"events": ["split.succeeded"]})
        failed_split(someone, None)
        assert len(client.get("/v1/webhooks/deliveries").json()["data"]["items"]) == 4

        client.post(replay)
        assert client.delete(path).json()["data"] == {"id": made["id"], "deleted": True}
        assert deliver_newest(context, someone).reason == "the endpoint was deleted"
        assert client.get(path).status_code == 404
        assert client.post(replay).status_code == 404
    with someone.database.read() as session:
        actions = {each.split(".")[1] for each in session.scalars(select(AuditEntry.action))}
    assert actions >= {
        "endpoint_created",
        "endpoint_changed",
        "endpoint_secret_rotated",
        "endpoint_deleted",
    }


@pytest.mark.parametrize("answered", [410, 500])
def test_an_endpoint_that_fails_is_disabled(
    client: httpx2.Client, context: WorkerContext, someone: Customer, answered: int
) -> None:
    """At once by 410, and by other failures after five days, also with deliveries of test keys."""
    with Peer([answers(answered)]) as peer:
        made = created(client, peer.url)
        with someone.database.write() as session:
            long_ago = times.now() - timedelta(days=5 if answered == 500 else 0)
            session.get_one(Endpoint, made["id"]).failing_since = long_ago
        failed_split(someone, None)
        found = deliver_newest(context, someone)
    shown = client.get(f"{ENDPOINTS}/{made['id']}").json()["data"]
    assert ("410" in shown["disabledReason"]) == (answered == 410)
    assert (found.state, found.reason) == ("failed", shown["disabledReason"])
    failed_split(someone, None)
    assert delivery(someone).id == found.id


def test_failures_of_a_previous_url_do_not_count(client: httpx2.Client, someone: Customer) -> None:
    made = created(client, "https://old.example/")
    failed_split(someone, None)
    found = delivery(someone)
    path, new = f"{ENDPOINTS}/{made['id']}", {"url": "https://new.example/"}
    with someone.database.write() as session:
        session.get_one(Endpoint, made["id"]).failing_since = times.now() - timedelta(days=5)
        assert attempts.begin(session, found.id) is not None
    assert client.patch(path, json=new).json()["data"]["failingSince"] is None
    with someone.database.write() as session:  # the response of the previous URL
        attempts.record(session, found.id, 1, Answer(410, 0.1, "", None))
    shown = client.get(path).json()["data"]
    assert (shown["disabled"], shown["failingSince"]) == (False, None)


def test_a_private_address_receives_nothing(
    client: httpx2.Client, context: WorkerContext, someone: Customer
) -> None:
    strict = WorkerContext(
        context.settings, context.database, context.secrets, context.storage, Outgoing(), "wrk_2"
    )
    with Peer([answers(200)]) as peer:
        created(client, peer.url)
        failed_split(someone, None)
        assert deliver_newest(strict, someone).state == "pending"
    assert peer.requests == []


def test_what_is_refused(client: httpx2.Client, someone: Customer, server_secrets: Secrets) -> None:
    url = "https://shop.example/hooks"
    for wrong in (
        {"url": "ftp://shop.example/"},
        {"url": "https://user@shop.example/"},
        {"url": "https://shop.example]/"},
        {"url": url, "events": []},
        {"url": url, "events": ["split.failed", "split.failed"]},
        {"url": url, "events": ["split.started"]},
        {"url": url, "secret": "whsec_"},
        {},
    ):
        assert client.post(ENDPOINTS, json=wrong).status_code == 422
    made, other = created(client, url), created(client, f"{url}/2")
    assert client.post(ENDPOINTS, json={"url": url}).status_code == 409
    assert client.patch(f"{ENDPOINTS}/{other['id']}", json={"url": url}).status_code == 409
    with someone.database.write() as session:
        limits.set_limits(session, someone.caller.account_id, {"webhook_endpoints": 2})
    error = client.post(ENDPOINTS, json={"url": f"{url}/3"}).json()["error"]
    assert (error["code"], error["limit"]) == ("LIMIT_EXCEEDED", "webhookEndpoints")
    # A key that may not read splits must not have them sent to a URL of its choice.
    with someone.database.write() as session:
        scopes = [Scope.WEBHOOKS_READ, Scope.WEBHOOKS_WRITE]
        session.get_one(ApiKey, someone.caller.key_id).scopes = [*scopes]
    path = f"{ENDPOINTS}/{made['id']}"
    refused = [
        client.post(ENDPOINTS, json={"url": url}),
        client.patch(path, json={"url": f"{url}/4"}),
        client.get(EVENTS),
    ]
    assert [response.status_code for response in refused] == [403, 403, 403]
    assert client.delete(path).status_code == 200
    test_key = customer(someone.database, server_secrets, test=True)
    created_by_test = client.post(ENDPOINTS, json={"url": url}, headers=test_key.headers)
    failed_split(test_key, None)
    found = delivery(test_key)
    assert found.endpoint_id == created_by_test.json()["data"]["id"]
    assert found.is_test


def test_events(client: httpx2.Client, context: WorkerContext, someone: Customer) -> None:
    """Every ended split has an event, which can be delivered again, and anywhere later."""
    with Peer([answers(204)]) as peer:
        split_id = failed_split(someone, f"{peer.url}/own")
        failed_split(someone, None)
        done = someone.finished(context.storage)
        page = client.get(EVENTS, params={"limit": 2}).json()["data"]
        assert [event["type"] for event in page["items"]] == ["split.succeeded", "split.failed"]
        assert page["items"][0]["data"]["stems"].keys() == {*done.stems}
        rest = client.get(EVENTS, params={"cursor": page["nextCursor"]}).json()["data"]
        (event,) = rest["items"]
        assert event["data"]["id"] == split_id
        failed = client.get(EVENTS, params={"type": "split.failed"}).json()["data"]["items"]
        assert [each["id"] for each in failed] == [page["items"][1]["id"], event["id"]]

        path = f"{EVENTS}/{event['id']}"
        assert client.get(path).json()["data"] == event
        assert client.post(f"{path}/redeliver").status_code == 409  # it is pending
        first = deliver_newest(context, someone)
        made = created(client, f"{peer.url}/endpoint")
        again = client.post(f"{path}/redeliver").json()["data"]
        assert [each["endpointId"] for each in again] == [None, made["id"]]
        for each in again:
            deliver(context, each["id"])
        lines = [request.line.split()[1] for request in peer.requests]
        assert sorted(lines) == ["/endpoint", "/own", "/own"]
        assert {bytes(request.body) for request in peer.requests} == {peer.requests[0].body}
        only = {"endpointId": made["id"]}
        (alone,) = client.post(f"{path}/redeliver", json=only).json()["data"]
        assert (alone["endpointId"], alone["eventId"]) == (made["id"], first.event_id)
        unknown = client.post(f"{path}/redeliver", json={"endpointId": "whe_0"})
        assert unknown.status_code == 404
        assert client.delete(f"/v1/audio/splits/{split_id}").status_code < 300
        assert client.post(f"{path}/redeliver").status_code == 409


@only_postgres
def test_concurrent_redeliveries_are_one(client: httpx2.Client, someone: Customer) -> None:
    failed_split(someone, None)
    created(client, "https://shop.example/hooks")
    (event,) = client.get(EVENTS).json()["data"]["items"]
    start = threading.Barrier(4)

    def send() -> int:
        start.wait()
        return client.post(f"{EVENTS}/{event['id']}/redeliver").status_code

    with ThreadPoolExecutor(4) as threads:
        sent = [each.result() for each in [threads.submit(send) for _ in range(4)]]
    assert sorted(sent) == [200, 409, 409, 409]
