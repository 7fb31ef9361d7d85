"""``/settings/usage/buy`` and following pages: packs for sale, and the return from paying.

The usage page shows ``packs.html`` with what :func:`offered` returns.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import Field

from aistemsplitter_server.accounts.sign_ins import SignedIn
from aistemsplitter_server.audit import service as audit
from aistemsplitter_server.audit.service import Action
from aistemsplitter_server.credits import service as credits
from aistemsplitter_server.http.context import BaseUrl, Context, InContext
from aistemsplitter_server.kit import ids
from aistemsplitter_server.kit.errors import NotFound, Unavailable
from aistemsplitter_server.payments import service
from aistemsplitter_server.payments.tables import Purchase
from aistemsplitter_server.web import guard, pages
from aistemsplitter_server.web.forms import Form, filled
from aistemsplitter_server.web.pages import render
from aistemsplitter_server.web.sessions import InSession

router = APIRouter(prefix="/settings/usage")

LOOKS = 20  # times that a waiting page refreshes itself, every three seconds
# Stripe's currencies whose smallest unit is not a hundredth, by their number of decimals.
DECIMALS = {
    0: "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf",
    3: "bhd jod kwd omr tnd",
}


class BuyForm(Form):
    """The pack to buy. The purchase's id is made with the form, so that it is bought once."""

    minutes: int
    purchase: str | None = Field(None, pattern=r"^pur_[0-9A-HJKMNP-TV-Z]{26}$")


def offered(request: Request, context: Context) -> list[dict[str, Any]]:
    """Return the packs for ``packs.html``, each with the id of the purchase that it starts.

    Where packs are for sale, allow the form to redirect to the provider.
    """
    if context.payments is not None:
        guard.allow(request, "form-action", context.payments.checkout_origin)
    currency = context.settings.currency
    return [
        {
            "minutes": pack.minutes,
            "price": pack.price and price(pack.price, currency),
            "purchase": ids.new("pur"),
        }
        for pack in service.packs(context.settings)
    ]


def price(amount: int, currency: str) -> str:
    """Return an amount in the currency's smallest unit as text: ``USD 5`` or ``USD 4.90``."""
    decimals = next((n for n, those in DECIMALS.items() if currency in those.split()), 2)
    whole, rest = divmod(amount, 10**decimals)
    return f"{currency.upper()} {whole:,}" + (f".{rest:0{decimals}d}" if rest else "")


@router.post("/buy")
def buy(
    request: Request,
    context: InContext,
    who: InSession,
    base_url: BaseUrl,
    form: Annotated[BuyForm, Depends(filled(BuyForm))],
) -> Response:
    """Store the purchase and send the buyer to pay. If that fails, nothing is stored."""
    if context.payments is None:
        raise NotFound("Packs are not for sale here.")
    bought = service.draft(
        context.settings, who.account_id, form.minutes, purchase_id=_purchase_id(context, who, form)
    )
    title = pages.language_of(request)("packs.item", n=bought.minutes)
    back = f"{base_url}/settings/usage/purchases/{bought.id}"
    try:
        page = context.payments.checkout(bought, title, back, f"{back}?cancelled=1")
    except Unavailable as error:
        return render(
            request, "purchase.html", status=error.status, headers=error.headers, state="away"
        )
    bought.reference = page.reference
    with context.database.write() as session:
        if service.begin(session, bought):
            audit.record(
                session,
                who.account_id,
                who.person_id,
                Action.PURCHASE_STARTED,
                bought.id,
                minutes=bought.minutes,
            )
    return RedirectResponse(page.url, 303)


@router.get("/purchases/{purchase_id}")
def show_purchase(
    request: Request,
    context: InContext,
    who: InSession,
    purchase_id: str,
    cancelled: bool = False,
    look: int = 0,
) -> Response:
    """Show a purchase. A page that waits for the payment refreshes itself, and gives up later."""
    bought, balance = _standing(context, who, purchase_id)
    if bought.state == "pending" and look == 0 and _ask(context, bought):
        bought, balance = _standing(context, who, purchase_id)
    unpaid = "cancelled" if cancelled else "waiting"
    return render(
        request,
        "purchase_state.html" if pages.is_fragment(request) else "purchase.html",
        state="paid" if bought.state == "paid" else unpaid,
        minutes=bought.minutes,
        balance=pages.credit(balance),
        next_look=look + 1 if look < LOOKS else None,
    )


def _purchase_id(context: Context, who: SignedIn, form: BuyForm) -> str | None:
    """Return the form's id; None if a new one is needed."""
    if form.purchase is None:
        return None
    with context.database.read() as session:
        usable = service.is_usable(session, who.account_id, form.minutes, form.purchase)
    return form.purchase if usable else None


def _standing(context: Context, who: SignedIn, purchase_id: str) -> tuple[Purchase, int]:
    account_id = who.account_id
    with context.database.read() as session:
        return (
            service.purchase(session, account_id, purchase_id),
            credits.balance(session, account_id),
        )


def _ask(context: Context, bought: Purchase) -> bool:
    """Ask the provider, since its webhook may be late or never reach this server."""
    if context.payments is None or bought.reference is None:
        return False
    try:
        payment = context.payments.look_up(bought.reference)
    except Unavailable:
        return False  # its webhook will arrive all the same
    if payment is None:
        return False
    with context.database.write() as session:
        service.settle(session, payment)
    return True
