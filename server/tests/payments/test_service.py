from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from aistemsplitter_server.kit.errors import Conflict, NotFound
from aistemsplitter_server.kit.settings import Settings
from aistemsplitter_server.payments import service
from aistemsplitter_server.payments.interface import Payment
from aistemsplitter_server.payments.tables import Purchase
from databases import only_sqlite
from shop import Shop


def paid(bought: Purchase) -> Payment:
    assert bought.reference is not None
    return Payment(bought.reference, bought.id, bought.amount, bought.currency)


def test_a_repeated_payment_event_grants_once(shop: Shop) -> None:
    bought = shop.buy(150)
    for _ in range(2):
        with shop.database.write() as session:
            service.settle(session, paid(bought))
    assert shop.buyer.balance == 600 + 150 * 60
    assert shop.grants == 1
    assert shop.state(bought) == "paid"


def test_a_crash_before_the_commit_loses_nothing(shop: Shop) -> None:
    bought = shop.buy()

    def crash() -> None:
        with shop.database.write() as session:
            service.settle(session, paid(bought))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        crash()
    assert (shop.state(bought), shop.buyer.balance) == ("pending", 600)
    with shop.database.write() as session:
        service.settle(session, paid(bought))
    assert (shop.state(bought), shop.buyer.balance) == ("paid", 600 + 50 * 60)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": 499},
        {"currency": "twd"},
        {"purchase_id": "pur_01KAXG7M2RZ9V4T6Y8B0N1C3D5"},
        {"purchase_id": None},
    ],
)
def test_a_mismatching_payment_grants_nothing(shop: Shop, wrong: dict[str, Any]) -> None:
    bought = shop.buy()
    with pytest.raises(Conflict, match=bought.id), shop.database.write() as session:
        service.settle(session, replace(paid(bought), **wrong))
    assert (shop.state(bought), shop.grants) == ("pending", 0)


@pytest.mark.parametrize("purchase_id", [None, "order 66", "pur_01KAXG7M2RZ9V4T6Y8B0N1C3D5"])
def test_unrelated_payments_are_ignored(
    shop: Shop, caplog: pytest.LogCaptureFixture, purchase_id: str | None
) -> None:
    bought = shop.buy()
    with shop.database.write() as session:
        service.settle(session, Payment("cs_test_other", purchase_id, 500, "usd"))
    assert (shop.state(bought), shop.grants) == ("pending", 0)
    # A payment that looks like ours may belong to a lost database, so the operator must be warned.
    assert ("cs_test_other" in caplog.text) == str(purchase_id).startswith("pur_")


def test_a_purchase_is_visible_to_its_account_only(shop: Shop) -> None:
    bought = shop.buy()
    with shop.database.read() as session:
        assert service.purchase(session, bought.account_id, bought.id).minutes == 50
        with pytest.raises(NotFound):
            service.purchase(session, "acc_other", bought.id)
        with pytest.raises(NotFound):
            service.purchase(session, bought.account_id, "pur_other")


@only_sqlite
def test_only_packs_that_have_a_price_are_sold(settings: Settings) -> None:
    assert [pack.price for pack in service.packs(settings)] == [500, 1200, 3000]
    with pytest.raises(NotFound, match="51 minutes"):
        service.draft(settings, "acc_a", 51)
    unpriced = settings.model_copy(update={"pack_prices": ()})
    keyless = settings.model_copy(update={"stripe_secret_key": None, "stripe_webhook_secret": None})
    for given in (unpriced, keyless):
        assert [pack.price for pack in service.packs(given)] == [None, None, None]
        with pytest.raises(NotFound, match="50 minutes"):
            service.draft(given, "acc_a", 50)
