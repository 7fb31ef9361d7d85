from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

from sqlalchemy import select, update

import aistemsplitter
from aistemsplitter_server.accounts import service as accounts
from aistemsplitter_server.kit import times
from aistemsplitter_server.webhooks import receivers, service
from aistemsplitter_server.webhooks.tables import Delivery, Receiver
from aistemsplitter_server.worker.context import WorkerContext
from aistemsplitter_server.worker.delivering import deliver
from customers import Customer
from peers import Peer, answers
from visitors import Visitor

PAGE = "/settings/webhooks"
URL = "https://receiver.example/hook"


def sent(customer: Customer, url: str = URL, kind: service.EventType = "split.failed") -> str:
    """The id of a test event's pending delivery."""
    account_id, key_id = customer.caller.account_id, customer.caller.key_id
    with customer.database.write() as session:
        return service.send_test(session, account_id, key_id, url, kind)[0].id


def listed(visitor: Visitor, query: str = "") -> list[str]:
    """Return the ids of the deliveries on a page."""
    return re.findall(rf"{PAGE}/(dlv_\w+)", visitor.get(f"{PAGE}{query}").text)


def test_filters(signed_in: Visitor, adas: Customer) -> None:
    first = sent(adas)
    second = sent(adas, "https://other.example/", "split.succeeded")
    with adas.database.write() as session:
        session.get_one(Delivery, first).state = "failed"
        event_id = session.get_one(Delivery, first).event_id
    assert listed(signed_in) == [second, first]
    for query, found in {
        "?state=failed": [first],
        "?state=pending&type=split.failed": [],
        "?type=split.succeeded": [second],
        "?find=OTHER.example": [second],
        "?find=%25": [],
        f"?key={adas.caller.key_id}": [second, first],
        "?key=key_other": [],
        "?state=&type=&key=&find=": [second, first],  # as a browser sends it
        "?state=any": [second, first],
    }.items():
        assert listed(signed_in, query) == found, query
    body = unescape(signed_in.get(f"{PAGE}/{first}").text)
    (split_id,) = {*re.findall(r"split_\w{26}", body)}
    assert event_id in body
    assert listed(signed_in, f"?find={split_id}") == [first]
    assert "No matching deliveries." in signed_in.get(f"{PAGE}?find=nowhere").text


def test_htmx_gets_a_fragment(signed_in: Visitor, adas: Customer) -> None:
    delivery_id = sent(adas)
    headers = {"HX-Request": "true", "HX-Target": "deliveries"}
    part = signed_in.get(PAGE, headers=headers).text
    assert part.lstrip().startswith('<div id="deliveries">')
    assert delivery_id in part
    headers["HX-Target"] = "delivery"
    part = signed_in.get(f"{PAGE}/{delivery_id}", headers=headers).text
    assert part.lstrip().startswith('<div id="delivery"')
    assert "every 2s" in part


def test_pages(signed_in: Visitor, adas: Customer) -> None:
    made = [sent(adas) for _ in range(30)]
    seen, query = [], "?type=split.failed"
    for _ in range(2):
        page = signed_in.get(f"{PAGE}{query}").text
        seen += re.findall(rf"{PAGE}/(dlv_\w+)", page)
        older = re.search(r'href="/settings/webhooks(\?[^"]*cursor=\w+)"', page)
        if older:
            query = unescape(older[1])
            assert "type=split.failed" in query
    assert older is None
    assert seen == made[::-1]
    assert signed_in.get(f"{PAGE}?cursor=x").status_code == 422


def test_a_delivery(signed_in: Visitor, adas: Customer, context: WorkerContext) -> None:
    hostile = b"<script>alert(1)</script>"
    with Peer([answers(500, hostile), answers(204)]) as peer:
        delivery_id = sent(adas, f"{peer.url}/?a=<b>")
        deliver(context, delivery_id)
        page = signed_in.get(f"{PAGE}/{delivery_id}")
        assert "Pending" in page.text
        assert "Next attempt" in page.text
        with adas.database.write() as session:
            session.get_one(Delivery, delivery_id).next_attempt_at = times.now()
        deliver(context, delivery_id)
    page = signed_in.get(f"{PAGE}/{delivery_id}")
    text = page.text
    assert page.headers["cache-control"] == "no-store"
    for expected in (
        "HTTP 500",
        "HTTP 204",
        "Delivered",
        "&lt;script&gt;",
        "&lt;i&gt;shop&lt;/i&gt;",
    ):
        assert expected in text
    assert "<script>alert" not in text
    assert "<i>shop" not in text
    assert "every 2s" not in text
    assert adas.webhook_secret not in unescape(text)
    body = unescape(text)
    assert f"Content-Length: {len(peer.requests[0].body)}" in body
    event_id = peer.requests[0].header("webhook-id")
    assert f"webhook-id: {event_id}" in body
    assert '"test": true' in body
    for name, _ in peer.requests[0].headers:
        if name.lower() not in ("host", "accept", "accept-encoding"):
            assert name in body


def test_a_receiver_that_does_not_answer(
    signed_in: Visitor, adas: Customer, context: WorkerContext
) -> None:
    with Peer([answers(200)]) as peer:
        unreachable = peer.url
    delivery_id = sent(adas, unreachable)
    deliver(context, delivery_id)
    page = signed_in.get(f"{PAGE}/{delivery_id}").text
    assert "No response" in page
    assert "cannot be reached" in page


def test_replay(signed_in: Visitor, adas: Customer, context: WorkerContext) -> None:
    with Peer([answers(410), answers(200)]) as peer:
        first = sent(adas, peer.url)
        deliver(context, first)
        there = signed_in.post(f"{PAGE}/{first}/replay").headers["location"]
        again = there.removeprefix(f"{PAGE}/")
        assert again != first
        deliver(context, again)
    assert "Delivered" in signed_in.get(there).text
    assert len({request.header("webhook-id") for request in peer.requests}) == 1


def test_a_test_event(signed_in: Visitor, adas: Customer, context: WorkerContext) -> None:
    key_id = adas.caller.key_id
    form = signed_in.get(f"{PAGE}/test").text
    assert f'value="{key_id}"' in form
    with Peer([answers(200)]) as peer:
        filled = {"url": peer.url, "key": key_id, "type": "split.succeeded"}
        there = signed_in.post(f"{PAGE}/test", filled).headers["location"]
        deliver(context, there.removeprefix(f"{PAGE}/"))
    (request,) = peer.requests
    headers = {name.lower(): value for name, value in request.headers}
    event = aistemsplitter.verify_signature(headers, request.body, adas.webhook_secret)
    assert (event.type, event.test) == ("split.succeeded", True)
    assert "Delivered" in signed_in.get(there).text


def test_a_test_event_that_is_refused(
    signed_in: Visitor, adas: Customer, someone: Customer
) -> None:
    key_id = adas.caller.key_id
    for url in ("ftp://x.example/", "javascript:alert(1)", "https://me:pw@x.example/", ""):
        page = signed_in.post(f"{PAGE}/test", {"url": url, "key": key_id})
        assert (page.status_code, "http://" in page.text) == (422, True)
    theirs = {"url": URL, "key": someone.caller.key_id}
    assert signed_in.post(f"{PAGE}/test", theirs).status_code == 404
    with adas.database.write() as session:
        accounts.revoke_key(session, None, key_id)
    page = signed_in.post(f"{PAGE}/test", {"url": URL, "key": key_id})
    assert page.status_code == 422
    assert "you have no key yet" in signed_in.get(f"{PAGE}/test").text
    with adas.database.read() as session:
        assert session.scalars(select(Delivery)).all() == []


def test_a_receiver_is_enabled_again(signed_in: Visitor, adas: Customer, someone: Customer) -> None:
    for customer in (adas, someone):
        with customer.database.write() as session:
            session.add(
                Receiver(
                    account_id=customer.caller.account_id,
                    url=receivers.origin(URL),
                    failing_since=times.now() - timedelta(days=6),
                    disabled_at=times.now(),
                    disabled_reason="disabled",
                )
            )
    assert "Enable again" in signed_in.get(PAGE).text
    assert signed_in.post(f"{PAGE}/enable", {"url": URL}).status_code == 303
    assert "Enable again" not in signed_in.get(PAGE).text
    assert signed_in.post(f"{PAGE}/enable", {"url": "https://x.example/"}).status_code == 404
    with someone.database.read() as session:
        (row,) = session.scalars(select(Receiver).where(Receiver.disabled_reason.is_not(None)))
    assert row.account_id == someone.caller.account_id


def test_another_accounts_deliveries_are_not_found(signed_in: Visitor, someone: Customer) -> None:
    theirs = sent(someone)
    with someone.database.write() as session:
        session.execute(update(Delivery).values(state="failed"))
    assert listed(signed_in) == []
    assert signed_in.get(f"{PAGE}/{theirs}").status_code == 404
    assert signed_in.post(f"{PAGE}/{theirs}/replay").status_code == 404
    with someone.database.read() as session:
        assert len(session.scalars(select(Delivery)).all()) == 1


def test_not_signed_in(visitor: Visitor, adas: Customer) -> None:
    delivery_id = sent(adas)
    for path in (PAGE, f"{PAGE}/test", f"{PAGE}/{delivery_id}"):
        assert visitor.get(path).headers["location"] == f"/sign-in?next={path}"
    for path in (f"{PAGE}/test", f"{PAGE}/enable", f"{PAGE}/{delivery_id}/replay"):
        assert visitor.post(path).headers["location"] == "/sign-in"
