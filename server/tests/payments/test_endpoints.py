"""Stripe's events: signed or unsigned, in any order, repeated and simultaneous."""

from __future__ import annotations

import threading
from collections.abc import Callable

import httpx2
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit.secrets import Secrets
from databases import only_sqlite
from fake_stripe import ASYNC_PAID, COMPLETED, recorded, signed
from serving import serving
from shop import Shop

PATH = "/payments/stripe"
OTHERS = (
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
)


@pytest.mark.usefixtures("client")
def test_paid_by_card(shop: Shop) -> None:
    bought = shop.buy()
    assert bought.reference is not None
    assert shop.stripe.pay(bought.reference, "refused card") is None
    assert shop.state(bought) == "pending"
    assert shop.stripe.pay(bought.reference) == "http://there/"
    assert [answer.status_code for answer in shop.stripe.answers] == [200]
    assert (shop.state(bought), shop.buyer.balance) == ("paid", 600 + 50 * 60)


@pytest.mark.usefixtures("client")
def test_paid_by_bank_transfer(shop: Shop) -> None:
    bought = shop.buy()
    assert bought.reference is not None
    shop.stripe.pay(bought.reference, "bank transfer")
    assert (shop.state(bought), shop.buyer.balance) == ("pending", 600)
    shop.stripe.transfer_arrives(bought.reference)
    assert (shop.state(bought), shop.buyer.balance) == ("paid", 600 + 50 * 60)
    assert [answer.status_code for answer in shop.stripe.answers] == [200, 200]


def test_any_order_and_any_number_of_times(shop: Shop, client: httpx2.Client) -> None:
    """Two purchases; credits are granted by the first event that reports the payment."""
    kinds = st.sampled_from([COMPLETED, "unpaid", ASYNC_PAID, *OTHERS])

    @given(st.lists(st.tuples(st.sampled_from([0, 1]), kinds), max_size=6))
    @hypothesis_settings(max_examples=25, suppress_health_check=list(HealthCheck))
    def send_event(events: list[tuple[int, str]]) -> None:
        before, purchases = shop.buyer.balance, [shop.buy(50), shop.buy(150)]
        for which, kind in events:
            session = shop.stripe.sessions[purchases[which].reference or ""]
            session["payment_status"] = "paid" if kind in (COMPLETED, ASYNC_PAID) else "unpaid"
            body = shop.stripe.event(session["id"], COMPLETED if kind == "unpaid" else kind)
            assert client.post(PATH, content=body, headers=signed(body)).status_code == 200
        paid = {which for which, kind in events if kind in (COMPLETED, ASYNC_PAID)}
        assert [shop.state(each) == "paid" for each in purchases] == [0 in paid, 1 in paid]
        assert shop.buyer.balance - before == sum(purchases[which].minutes * 60 for which in paid)

    send_event()


def test_simultaneous_deliveries_grant_once(shop: Shop, client: httpx2.Client) -> None:
    """Sixteen threads deliver the events of three purchases simultaneously."""
    purchases = [shop.buy() for _ in range(3)]
    bodies = []
    for bought in purchases:
        shop.stripe.sessions[bought.reference or ""]["payment_status"] = "paid"
        bodies.append(shop.stripe.event(bought.reference or ""))
    start = threading.Barrier(16)
    statuses: list[int] = []

    def deliver(number: int) -> None:
        body = bodies[number % 3]
        headers = signed(body)
        with httpx2.Client(base_url=client.base_url, trust_env=False, timeout=30) as own:
            start.wait()
            statuses.append(own.post(PATH, content=body, headers=headers).status_code)

    threads = [threading.Thread(target=deliver, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 16
    assert (shop.grants, shop.buyer.balance) == (3, 600 + 3 * 50 * 60)


FORGERIES: dict[str, Callable[[str], tuple[bytes, dict[str, str]]]] = {
    "changed by a byte": lambda body: (body.replace("500", "600").encode(), signed(body)),
    "of another secret": lambda body: (body.encode(), signed(body, secret="whsec_another")),
    "too old": lambda body: (body.encode(), signed(body, age=301)),
    "not signed": lambda body: (body.encode(), {}),
    "an empty signature": lambda body: (body.encode(), {"Stripe-Signature": ""}),
    "nonsense": lambda body: (body.encode(), {"Stripe-Signature": "t=now,v1=this"}),
    "not ASCII": lambda body: (body.encode(), {"Stripe-Signature": "t=1,v1=\xe9"}),
    "not UTF-8": lambda body: (b"\xff" + body.encode(), signed(body)),
    "another scheme": lambda body: (
        body.encode(),
        {"Stripe-Signature": signed(body)["Stripe-Signature"].replace("v1", "v0")},
    ),
}


@only_sqlite
@pytest.mark.parametrize("forgery", FORGERIES)
def test_an_invalid_signature_is_rejected(shop: Shop, client: httpx2.Client, forgery: str) -> None:
    bought = shop.buy()
    shop.stripe.sessions[bought.reference or ""]["payment_status"] = "paid"
    body, headers = FORGERIES[forgery](shop.stripe.event(bought.reference or ""))
    raw = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = client.post(PATH, content=body, headers=raw)
    assert answer.status_code == 400
    assert answer.json()["error"] == {
        "code": "BAD_REQUEST",
        "message": "The Stripe-Signature is invalid or too old.",
    }
    assert (shop.state(bought), shop.grants) == ("pending", 0)


@only_sqlite
def test_a_slightly_late_event_is_accepted(shop: Shop, client: httpx2.Client) -> None:
    bought = shop.buy()
    shop.stripe.sessions[bought.reference or ""]["payment_status"] = "paid"
    body = shop.stripe.event(bought.reference or "")
    assert client.post(PATH, content=body, headers=signed(body, age=200)).status_code == 200
    assert shop.state(bought) == "paid"


@only_sqlite
@pytest.mark.usefixtures("client")
def test_a_payment_of_a_different_amount(shop: Shop) -> None:
    bought = shop.buy()
    shop.stripe.sessions[bought.reference or ""]["amount_total"] = 5
    shop.stripe.pay(bought.reference or "")
    (answer,) = shop.stripe.answers
    assert answer.status_code == 409
    assert bought.id in answer.json()["error"]["message"]
    assert (shop.state(bought), shop.grants) == ("pending", 0)


@only_sqlite
@pytest.mark.parametrize("kind", OTHERS)
def test_other_events_are_accepted_and_ignored(
    client: httpx2.Client, shop: Shop, kind: str
) -> None:
    body = httpx2.Request("POST", "http://x", json=recorded(kind)).content.decode()
    assert client.post(PATH, content=body, headers=signed(body)).status_code == 200
    assert shop.grants == 0


@only_sqlite
def test_a_large_body_is_not_read(client: httpx2.Client) -> None:
    body = "a" * ((1 << 20) + 1)
    assert client.post(PATH, content=body, headers=signed(body)).status_code == 413


@only_sqlite
def test_without_stripe_keys_the_endpoint_does_not_exist(
    shop: Shop, server_secrets: Secrets
) -> None:
    keyless = {"stripe_secret_key": None, "stripe_webhook_secret": None}
    settings = shop.settings.model_copy(update=keyless)
    body = shop.stripe.event(shop.buy().reference or "")
    with serving(create_app(settings, shop.database, server_secrets)) as client:
        assert client.post(PATH, content=body, headers=signed(body)).status_code == 404
