"""Packs on the pages, bought from a Stripe on loopback."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import func, select

from aistemsplitter_server.accounts.tables import Person
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.secrets import Secrets
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.payments.tables import Purchase
from aistemsplitter_server.web import packs
from browsers import enter
from databases import Databases, only_sqlite
from fake_stripe import FakeStripe
from visitors import Visitor, person

BUY = "/settings/usage/buy"
POLLS = {"HX-Request": "true"}


@pytest.fixture
def prices() -> tuple[int, ...]:
    """The prices of the packs."""
    return (500, 1200, 3000)


@pytest.fixture
def settings(
    tmp_path: Path, databases: Databases, stripe: FakeStripe, prices: tuple[int, ...]
) -> Settings:
    """Settings of a service that sells packs, if they have prices."""
    data = tmp_path / "data"
    chosen: dict[str, Any] = {"data": data, "database_url": databases.url(data)}
    return Settings(**chosen, **(stripe.settings if prices else {}), pack_prices=prices)


@pytest.fixture
def client(client: httpx2.Client, stripe: FakeStripe) -> httpx2.Client:
    """A client of the service, to which Stripe sends its events."""
    stripe.callback = f"{client.base_url}/payments/stripe"
    return client


not_sold = pytest.mark.parametrize("prices", [()])


def ordered(visitor: Visitor, stripe: FakeStripe, minutes: int = 50) -> tuple[str, str]:
    """Buy a pack up to Stripe's page; return the session's id and the path to come back to."""
    sent = visitor.post(BUY, {"minutes": str(minutes)})
    assert sent.status_code == 303
    assert sent.headers["location"].startswith(f"{stripe.url}/c/pay/")
    session_id = sent.headers["location"].rpartition("/")[2]
    return session_id, urlsplit(stripe.sessions[session_id]["success_url"]).path


def balance(database: Database, someone: Person) -> int:
    with database.read() as session:
        return credits.balance(session, someone.account_id)


def test_a_pack_is_bought(
    signed_in: Visitor, stripe: FakeStripe, database: Database, ada: Person
) -> None:
    session_id, back = ordered(signed_in, stripe)
    with database.read() as session:
        bought = session.scalars(select(Purchase)).one()
    assert (bought.reference, bought.state, bought.amount) == (session_id, "pending", 500)
    assert stripe.pay(session_id) is not None
    page = signed_in.get(back, headers={"Sec-Fetch-Site": "cross-site"})
    assert page.status_code == 200
    assert "Your minutes are here" in page.text
    assert "50 minutes were added" in page.text
    assert "60:00 min" in page.text
    assert balance(database, ada) == 600 + 50 * 60
    assert len(stripe.calls) == 1  # no request was needed, because the event had arrived


def test_a_lost_event(
    signed_in: Visitor, stripe: FakeStripe, database: Database, ada: Person
) -> None:
    """When the buyer returns, the server asks Stripe. A later event grants nothing more."""
    stripe.loses_events = True
    session_id, back = ordered(signed_in, stripe)
    stripe.pay(session_id)
    for _ in range(2):
        assert "Your minutes are here" in signed_in.get(back).text
    stripe.loses_events = False
    stripe.send(stripe.event(session_id))
    assert [answer.status_code for answer in stripe.answers] == [200]
    assert balance(database, ada) == 600 + 50 * 60


@only_sqlite
def test_waiting_for_a_bank_transfer(signed_in: Visitor, stripe: FakeStripe) -> None:
    session_id, back = ordered(signed_in, stripe)
    stripe.pay(session_id, "bank transfer")
    page = signed_in.get(back).text
    assert "Your payment is being confirmed" in page
    assert f'hx-get="{back}?look=1"' in page
    calls = len(stripe.calls)
    part = signed_in.get(f"{back}?look=1", headers=POLLS).text
    assert part.startswith("<section")
    assert f'hx-get="{back}?look=2"' in part
    assert "hx-get" not in signed_in.get(f"{back}?look={packs.LOOKS}", headers=POLLS).text
    assert len(stripe.calls) == calls  # reloading sends no request to Stripe
    stripe.transfer_arrives(session_id)
    part = signed_in.get(f"{back}?look=2", headers=POLLS).text
    assert "Your minutes are here" in part
    assert "hx-get" not in part


@only_sqlite
def test_stripe_is_unavailable_after_the_payment(signed_in: Visitor, stripe: FakeStripe) -> None:
    session_id, back = ordered(signed_in, stripe)
    stripe.loses_events, stripe.fault = True, 500
    stripe.pay(session_id)
    page = signed_in.get(back)
    assert (page.status_code, "being confirmed" in page.text) == (200, True)


@only_sqlite
def test_cancelled(signed_in: Visitor, stripe: FakeStripe) -> None:
    session_id, _ = ordered(signed_in, stripe)
    back = stripe.sessions[session_id]["cancel_url"]
    page = signed_in.get(back).text
    assert "Nothing was paid" in page
    assert "hx-get" not in page
    stripe.pay(session_id)  # paid after all, on the page that was still open
    assert "Your minutes are here" in signed_in.get(back).text


@only_sqlite
def test_stripe_is_unavailable(
    signed_in: Visitor, stripe: FakeStripe, database: Database, ada: Person
) -> None:
    stripe.fault = 500
    page = signed_in.post(BUY, {"minutes": "50"})
    assert page.status_code == 503
    assert "Nothing was paid and nothing was ordered." in page.text
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(Purchase)) == 0
    assert balance(database, ada) == 600


@only_sqlite
def test_another_accounts_purchase_is_not_found(
    signed_in: Visitor,
    client: httpx2.Client,
    stripe: FakeStripe,
    database: Database,
    server_secrets: Secrets,
) -> None:
    session_id, back = ordered(signed_in, stripe)
    stripe.pay(session_id)
    stranger = Visitor(client)
    assert stranger.get(back).headers["location"].startswith("/sign-in?next=/settings/usage/")
    stranger.sign_in(person(database, server_secrets, "bob@example.org").email)
    assert stranger.get(back).status_code == 404


@only_sqlite
@pytest.mark.parametrize(
    ("minutes", "status"), [("51", 404), ("-50", 404), ("many", 422), ("", 422)]
)
def test_an_unknown_pack(signed_in: Visitor, stripe: FakeStripe, minutes: str, status: int) -> None:
    assert signed_in.post(BUY, {"minutes": minutes}).status_code == status
    assert stripe.calls == []


@only_sqlite
def test_a_repeated_form_is_one_purchase(
    signed_in: Visitor, stripe: FakeStripe, database: Database
) -> None:
    shown = signed_in.get("/settings/usage").text
    found = re.findall(r'name="purchase" value="(pur_\w+)"', shown)
    form = {"purchase": found[0], "minutes": "50"}
    first, second = (signed_in.post(BUY, form) for _ in range(2))
    assert first.headers["location"] == second.headers["location"]
    with database.read() as session:
        assert session.scalars(select(Purchase.id)).all() == [found[0]]

    stripe.pay(first.headers["location"].rpartition("/")[2])
    later = signed_in.post(BUY, form)  # another pack, from the browser's cached page
    assert later.headers["location"] != first.headers["location"]
    assert signed_in.post(BUY, {**form, "minutes": "150"}).status_code == 303
    with database.read() as session:
        assert sorted(session.scalars(select(Purchase.minutes))) == [50, 50, 150]


@only_sqlite
def test_people_who_cannot_buy(
    signed_in: Visitor, client: httpx2.Client, stripe: FakeStripe
) -> None:
    crossed = signed_in.post(BUY, {"minutes": "50"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert crossed.status_code == 403
    refused_visitor = Visitor(client).post(BUY, {"minutes": "50"})
    assert (refused_visitor.status_code, refused_visitor.headers["location"]) == (303, "/sign-in")
    assert stripe.calls == []


@only_sqlite
def test_packs_for_sale(signed_in: Visitor, stripe: FakeStripe) -> None:
    page = signed_in.get("/settings/usage")
    for label in ("Buy 50 minutes for USD 5", "Buy 150 minutes for USD 12"):
        assert label in page.text
    policy = page.headers["content-security-policy"]
    assert f"form-action 'self' {stripe.url};" in policy
    assert stripe.url not in signed_in.get("/studio").headers["content-security-policy"]


@only_sqlite
@not_sold
def test_packs_that_the_operator_grants(signed_in: Visitor, owner: Visitor) -> None:
    page = signed_in.get("/settings/usage")
    assert "150 minutes" in page.text
    assert "The operator of this server grants packs." in page.text
    assert BUY not in page.text
    assert "form-action 'self';" in page.headers["content-security-policy"]
    assert "credits grant acc_" in owner.get("/settings/usage").text
    assert signed_in.post(BUY, {"minutes": "50"}).status_code == 404


@only_sqlite
def test_in_chinese(signed_in: Visitor, stripe: FakeStripe) -> None:
    signed_in.cookies["language"] = "zh-TW"
    session_id, back = ordered(signed_in, stripe)
    assert stripe.calls[0].form["line_items[0][price_data][product_data][name]"] == (
        "音軌分離 50 分鐘"
    )
    stripe.pay(session_id)
    assert "加值完成" in signed_in.get(back).text


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (500, "usd", "USD 5"),
        (490, "usd", "USD 4.90"),
        (5, "eur", "EUR 0.05"),
        (150_000, "twd", "TWD 1,500"),
        (1500, "jpy", "JPY 1,500"),
        (1500, "kwd", "KWD 1.500"),
    ],
)
def test_prices(amount: int, currency: str, shown: str) -> None:
    assert packs.price(amount, currency) == shown


@only_sqlite
def test_in_a_browser(
    browser: Browser, client: httpx2.Client, stripe: FakeStripe, ada: Person
) -> None:
    """A declined card first, then a valid one; the pages' policy allows both."""
    page = browser.new_page(base_url=f"http://localhost:{client.base_url.port}")
    refused: list[str] = []
    page.on("console", lambda said: refused.append(said.text) if said.type == "error" else None)
    enter(page, ada.email, there="/settings/usage")
    page.get_by_role("button", name="Buy 150 minutes for USD 12").click()
    expect(page.get_by_role("heading")).to_have_text("Stem splitting, 150 minutes")
    page.get_by_role("button", name="Pay with a card that is refused").click()
    expect(page.get_by_role("alert")).to_have_text("Your card was declined.")
    page.get_by_role("link", name="Back").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing was paid")
    page.get_by_role("link", name="Back to usage and credits").click()
    page.get_by_role("button", name="Buy 50 minutes for USD 5").click()
    stripe.loses_events = True
    page.get_by_role("button", name="Pay by bank transfer").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Your payment is being confirmed")
    stripe.loses_events = False
    (slow,) = (each for each in stripe.sessions.values() if each["status"] == "complete")
    stripe.transfer_arrives(slow["id"])
    expect(page.get_by_role("heading", level=1)).to_have_text("Your minutes are here")
    expect(page.locator(".figure")).to_have_text("60:00 min")
    assert refused == []
    page.close()
