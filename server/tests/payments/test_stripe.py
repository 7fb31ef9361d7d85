"""Our client of Stripe, through Stripe's own library over HTTP."""

from __future__ import annotations

import subprocess
import sys

import pytest
import stripe as library

from aistemsplitter_server.kit.errors import Unavailable
from aistemsplitter_server.kit.settings import Settings, WrongSetting
from aistemsplitter_server.payments import service
from aistemsplitter_server.payments.configured import configured
from aistemsplitter_server.payments.stripe import StripePayments
from databases import only_sqlite
from fake_stripe import EVENTS, SECRET_KEY, WEBHOOK_SECRET, FakeStripe, recorded
from ports import free_port
from shop import Shop

START = """
import sys
from aistemsplitter_server.app import create_app
from aistemsplitter_server.kit import secrets
from aistemsplitter_server.kit.database import Database
from aistemsplitter_server.kit.settings import Settings
settings = Settings(stripe_secret_key="sk_test_a", stripe_webhook_secret="whsec_a")
app = create_app(settings, Database(settings.database), secrets.of(settings))
assert app.state.context.payments is not None
sys.exit("stripe" in sys.modules or "requests" in sys.modules)
"""


@only_sqlite
def test_a_checkout_session_is_created_once_per_purchase(shop: Shop) -> None:
    bought = service.draft(shop.settings, shop.buyer.caller.account_id, 150)
    pages = [
        shop.payments.checkout(bought, "150 分鐘", "http://there/", "http://back/")
        for _ in range(2)
    ]
    assert pages[0] == pages[1]
    assert pages[0].url.startswith(f"{shop.stripe.url}/c/pay/cs_test_")
    assert list(shop.stripe.sessions) == [pages[0].reference]
    call = shop.stripe.calls[0]
    assert call.headers["idempotency-key"] == bought.id
    assert call.form == {
        "mode": "payment",
        "client_reference_id": bought.id,
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "usd",
        "line_items[0][price_data][unit_amount]": "1200",
        "line_items[0][price_data][product_data][name]": "150 分鐘",
        "adaptive_pricing[enabled]": "false",
        "success_url": "http://there/",
        "cancel_url": "http://back/",
    }


@only_sqlite
def test_a_payment_is_looked_up(shop: Shop) -> None:
    bought = shop.buy()
    assert bought.reference is not None
    assert shop.payments.look_up(bought.reference) is None
    shop.stripe.pay(bought.reference, "refused card")
    assert shop.payments.look_up(bought.reference) is None
    shop.stripe.pay(bought.reference)
    found = shop.payments.look_up(bought.reference)
    assert found is not None
    assert (found.purchase_id, found.amount, found.currency) == (bought.id, 500, "usd")


@only_sqlite
@pytest.mark.parametrize("fault", [500, 429, 400, None])
def test_stripe_is_unavailable(
    shop: Shop, caplog: pytest.LogCaptureFixture, fault: int | None
) -> None:
    """None: no server listens at all."""
    shop.stripe.fault = fault
    url = f"http://127.0.0.1:{free_port()}" if fault is None else shop.stripe.url
    payments = StripePayments(SECRET_KEY, WEBHOOK_SECRET, url)
    bought = service.draft(shop.settings, shop.buyer.caller.account_id, 50)
    with pytest.raises(Unavailable, match="nothing was paid"):
        payments.checkout(bought, "A pack", "http://there/", "http://back/")
    with pytest.raises(Unavailable, match="nothing was paid"):
        payments.look_up("cs_test_a")
    assert "Stripe cannot be used" in caplog.text
    assert SECRET_KEY not in caplog.text


@only_sqlite
def test_a_temporary_error_is_retried(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.stripe.fault = 500
    answer = shop.stripe.call
    monkeypatch.setattr(
        shop.stripe, "call", lambda call: [answer(call), setattr(shop.stripe, "fault", None)][0]
    )
    assert shop.buy().reference in shop.stripe.sessions
    first, second = shop.stripe.calls
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


@only_sqlite
def test_a_key_that_stripe_rejects(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    payments = StripePayments("sk_test_another", WEBHOOK_SECRET, shop.stripe.url)
    bought = service.draft(shop.settings, shop.buyer.caller.account_id, 50)
    with pytest.raises(Unavailable):
        payments.checkout(bought, "A pack", "http://there/", "http://back/")
    assert "Invalid API Key" in caplog.text


def test_the_payment_url(stripe: FakeStripe) -> None:
    real = StripePayments(SECRET_KEY, WEBHOOK_SECRET, "https://api.stripe.com")
    assert real.checkout_origin == "https://checkout.stripe.com"
    assert StripePayments(SECRET_KEY, WEBHOOK_SECRET, stripe.url).checkout_origin == stripe.url


@only_sqlite
def test_without_keys_or_without_the_library(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert configured(Settings()) is None
    assert configured(settings) is not None
    monkeypatch.setitem(sys.modules, "stripe", None)
    with pytest.raises(WrongSetting, match=r"STRIPE_SECRET_KEY.*pip install .*\[stripe\]"):
        configured(settings)
    assert configured(Settings()) is None


def test_the_api_starts_without_loading_the_library() -> None:
    subprocess.run([sys.executable, "-c", START], check=True)


@pytest.mark.parametrize("path", sorted(EVENTS.glob("*.json")), ids=lambda path: path.stem)
def test_the_events_match_the_librarys_types(path: object) -> None:
    event = recorded(getattr(path, "stem", ""))
    made = library.Event.construct_from(event, None)
    assert set(event) | {"account", "context"} == fields(library.Event)
    if made.type.startswith("checkout."):
        assert isinstance(made.data.object, library.checkout.Session)
        expanded = {"line_items"}  # only present if it is requested
        assert set(event["data"]["object"]) | expanded == fields(library.checkout.Session)


def fields(kind: type) -> set[str]:
    return {name for name in kind.__annotations__ if name[0].islower()}
